// What every run of the live benchmark is given: many streams at the pace of a model's answer.

export const CHUNKS_PER_SECOND = 50
export const WARM_UP_SECONDS = 2.5

/**
 * The streams take turns: in each period of 20 ms every one of them is written once, so many at a time.
 * @type {Record<string, { streams: number, turns: number }>}
 */
export const loads = {
  // 40 chunks at once, every 4 ms: a server on which much coincides.
  together: { streams: 200, turns: 5 },
  // 3 chunks every ms: the usual server.
  apart: { streams: 60, turns: 20 },
}

/** Chunks of each stream that come before the measurement. */
export const WARM_UP_CHUNKS = WARM_UP_SECONDS * CHUNKS_PER_SECOND

/** How long chunks may be under way after the last one was written. */
export const GRACE_MS = 5_000

/**
 * @typedef {object} Task
 * @property {string} subject
 * @property {string} url
 * @property {string} load one of {@link loads}
 * @property {number} fan readers of each stream
 * @property {number} seconds measured, after the warm-up
 */

/** Chunks of each stream, warm-up included. @param {Pick<Task, 'seconds'>} task */
export const chunksOf = ({ seconds }) => WARM_UP_CHUNKS + Math.round(seconds * CHUNKS_PER_SECOND)

/** @param {Pick<Task, 'load'>} task */
export function shapeOf({ load }) {
  const shape = loads[load]
  if (!shape) throw new Error(`no load ${load}`)
  return {
    ...shape,
    streamsPerTurn: shape.streams / shape.turns,
    turnMs: 1000 / CHUNKS_PER_SECOND / shape.turns,
  }
}

/** @param {number} index */
export const streamId = (index) => `live-${index}`
