// The ways to keep chunks in a Redis stream. Entry ids are `0-<number of the entry's first chunk>`.

/**
 * @typedef {any} Event parsed JSON, or its text; null ends a stream
 *
 * @typedef {[id: string, fields: string[]]} Entry
 *
 * @typedef {object} Format
 * @property {string} script KEYS: stream, channel; ARGV: first number, TTL in seconds or 0, payloads. It publishes
 *   `<first number>\n<payload>`
 * @property {(chunks: string[]) => string[]} encode a flush's chunks as payloads
 * @property {(payload: string) => Event[]} decodeMessage
 * @property {(entries: Entry[]) => Event[]} decodePage
 * @property {number} firstPage entries of the first page that a reader asks for
 * @property {number} page entries of the following ones
 */

/** One entry for each chunk. @type {Format} */
const chunk = {
  script: `
    local seq = tonumber(ARGV[1])
    for i = 3, #ARGV do redis.pcall('XADD', KEYS[1], '0-' .. seq, 'd', ARGV[i]) seq = seq + 1 end
    if ARGV[2] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
    return redis.call('PUBLISH', KEYS[2], ARGV[1] .. '\\n' .. table.concat(ARGV, '\\n', 3))`,
  encode: (chunks) => chunks,
  decodeMessage: (payload) => payload.split('\n').map((chunk) => JSON.parse(chunk)),
  decodePage: (entries) => entries.map(([, [, payload = '']]) => JSON.parse(payload)),
  firstPage: 100,
  page: 1000,
}

/** One entry for each flush, a JSON array: parsed at once. @type {Format} */
const batch = {
  script: `
    redis.pcall('XADD', KEYS[1], '0-' .. ARGV[1], 'd', ARGV[3])
    if ARGV[2] ~= '0' then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
    return redis.call('PUBLISH', KEYS[2], ARGV[1] .. '\\n' .. ARGV[3])`,
  encode: (chunks) => [`[${chunks.join(',')}]`],
  decodeMessage: (payload) => JSON.parse(payload),
  decodePage: (entries) => entries.flatMap(([, [, payload = '']]) => JSON.parse(payload)),
  firstPage: 8,
  page: 8,
}

const textOf = (/** @type {string} */ chunk) => (chunk === 'null' ? null : chunk)

/** As `chunk`, but nothing is parsed: another thread does that. @type {Format} */
const text = {
  ...chunk,
  decodeMessage: (payload) => payload.split('\n').map(textOf),
  decodePage: (entries) => entries.map(([, [, payload = '']]) => textOf(payload)),
}

export const formats = { chunk, batch, text }

/** @typedef {keyof typeof formats} Mode */
