// What a chat backend sends: text deltas of one word each, 43 to 54 bytes as JSON.

const WORDS =
  `the quick resumable stream keeps every token in order while a browser reloads and another tab joins in the
middle of an answer so that nobody loses a word because durable history and live delivery meet at one sequence number
which is checked again whenever a connection drops or a server restarts during deployment people asked about weather
planning travel cooking recipes database design compilers gardening music theory astronomy chemistry quantum mechanics
budget spreadsheets email drafts translation grammar poetry philosophy history maps networks kernel schedulers memory
allocators garbage collectors promises iterators generators buffers sockets`.split(/\s+/)

const DELTAS = Array.from(
  { length: 4096 },
  (_, index) => ` ${WORDS[(index * 31 + (index >> 3)) % WORDS.length]}`,
)

/**
 * A chunk's event.
 * @typedef {object} TimedDelta
 * @property {string} type
 * @property {string} id
 * @property {string} delta
 * @property {number} t when it was offered, by {@link import('./measure.mjs').now}
 * @property {number} n its number in its stream: 1, 2, 3 …
 */

/** @type {TimedDelta} */
const event = { type: 'text-delta', id: '0', delta: '', t: 0.5, n: 0 }

/**
 * The same object each time, changed: collecting the driver's garbage would count as latency of the subjects.
 * @param {number} stream @param {number} n @param {number} t
 */
export function timedDelta(stream, n, t) {
  event.delta = /** @type {string} */ (DELTAS[(n + stream * 7) % DELTAS.length])
  event.t = t
  event.n = n
  return event
}

/**
 * Events without time or number.
 * @param {number} [bytes] of each as JSON, at least 55; without it one word each, 48 on average
 * @returns {object[]}
 */
export function deltas(bytes) {
  const eventOf = (/** @type {string} */ delta) => ({ type: 'text-delta', id: '0', delta })
  if (bytes === undefined) return DELTAS.map(eventOf)
  const length = bytes - JSON.stringify(eventOf('')).length
  return DELTAS.map((_, index) => {
    let text = ''
    for (let word = index; text.length < length; word++) text += DELTAS[(word * 7) % DELTAS.length]
    return eventOf(text.slice(0, length))
  })
}
