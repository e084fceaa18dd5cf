// What a live run is given: many streams at the pace of models' answers, in an open loop.

/**
 * @typedef {object} Load
 * @property {number} streams
 * @property {number} perTurn chunks that are offered at once, one to each of the next streams; 0: none at all
 * @property {number} turnMs
 * @property {number} fan readers of each stream
 * @property {number} warmUpSeconds
 * @property {number} seconds measured, after the warm-up
 * @property {number} [history] chunks that each stream has already
 * @property {number} [delayMs] added to the way between the processes and Redis, in each direction
 *
 * @typedef {Load & { subject: string, url: string }} Task
 */

/** 40 chunks at once, every 4 ms, 50 a second in each stream: a server where many chunks arrive together. */
export const together = { streams: 200, perTurn: 40, turnMs: 4, fan: 1, warmUpSeconds: 2.5, seconds: 5 }
/** 3 chunks every ms, 50 a second in each stream: the usual server. */
export const apart = { ...together, streams: 60, perTurn: 3, turnMs: 1 }

/** How long the last chunks and ends may take to arrive once everything is written. @param {Load} load */
export const graceMs = ({ streams }) => 5_000 + 5 * streams

/** Turns before the measurement. @param {Load} load */
export const warmUpTurns = ({ warmUpSeconds, turnMs }) => Math.round((warmUpSeconds * 1000) / turnMs)

/** @param {Load} load */
export const turns = (load) => warmUpTurns(load) + Math.round((load.seconds * 1000) / load.turnMs)

/** Chunks of one stream, its history included. @param {Load} load @param {number} index */
export const chunksOf = (load, index) =>
  (load.history ?? 0) + Math.max(0, Math.ceil((turns(load) * load.perTurn - index) / load.streams))

/** Whether a chunk is offered after the warm-up, so that its latency counts. @param {Load} load @param {number} index of the stream @param {number} n of the chunk in it */
export const isMeasured = (load, index, n) =>
  (n - 1 - (load.history ?? 0)) * load.streams + index >= warmUpTurns(load) * load.perTurn

/** @param {number} index */
export const streamId = (index) => `live-${index}`
