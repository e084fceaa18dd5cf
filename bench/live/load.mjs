// What every run of the live benchmark is given: many streams at the pace of a model's answer.

export const STREAMS = 200
export const CHUNKS_PER_SECOND = 50
export const WARM_UP_SECONDS = 2.5

/** The streams take turns: in each period of 20 ms a fifth of them is written every 4 ms. */
export const TURNS = 5
export const STREAMS_PER_TURN = STREAMS / TURNS
export const TURN_MS = 1000 / CHUNKS_PER_SECOND / TURNS

/** Chunks of each stream that come before the measurement. */
export const WARM_UP_CHUNKS = WARM_UP_SECONDS * CHUNKS_PER_SECOND

/** How long chunks may be under way after the last one was written. */
export const GRACE_MS = 5_000

/**
 * @typedef {object} Task
 * @property {string} subject
 * @property {string} url
 * @property {number} fan readers of each stream
 * @property {number} seconds measured, after the warm-up
 */

/** Chunks of each stream, warm-up included. @param {Task} task */
export const chunksOf = ({ seconds }) => WARM_UP_CHUNKS + Math.round(seconds * CHUNKS_PER_SECOND)

/** @param {number} index */
export const streamId = (index) => `live-${index}`
