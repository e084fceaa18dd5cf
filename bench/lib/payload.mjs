// What a chat backend sends: text deltas of one word each, 43 to 54 bytes as JSON.

const WORDS =
  `the quick resumable stream keeps every token in order while a browser reloads and another tab joins in the
middle of an answer so that nobody loses a word because durable history and live delivery meet at one sequence number
which is checked again whenever a connection drops or a server restarts during deployment people asked about weather
planning travel cooking recipes database design compilers gardening music theory astronomy chemistry quantum mechanics
budget spreadsheets email drafts translation grammar poetry philosophy history maps networks kernel schedulers memory
allocators garbage collectors promises iterators generators buffers sockets`.split(/\s+/)

/** @type {Pick<TimedDelta, 'type' | 'id' | 'delta'>[]} */
const DELTAS = Array.from({ length: 4096 }, (_, index) => ({
  type: 'text-delta',
  id: '0',
  delta: ` ${WORDS[(index * 31 + (index >> 3)) % WORDS.length]}`,
}))

/**
 * A chunk's event.
 * @typedef {object} TimedDelta
 * @property {string} type
 * @property {string} id
 * @property {string} delta
 * @property {number} t when it was offered, by {@link import('./measure.mjs').now}
 * @property {number} n its number in its stream: 1, 2, 3 …
 */

/** @param {number} stream @param {number} n @param {number} t @returns {TimedDelta} */
export function timedDelta(stream, n, t) {
  const delta = /** @type {TimedDelta} */ (DELTAS[(n + stream * 7) % DELTAS.length])
  return { ...delta, t, n }
}
