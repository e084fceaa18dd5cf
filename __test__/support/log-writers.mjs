// Writers that append to logs until they are told to end, and what they have written.

import { deadline, until } from './wait.mjs'

/**
 * Each appends `<name> 0`, `<name> 1` … to its log, so many at once: their order is that of the calls.
 * @param {import('tidemark').Log[]} logs @param {string[]} names one for each log @param {number} [together]
 */
export function startWriters(logs, names, together = 1) {
  let isOver = false
  const writing = logs.map(async (log, index) => {
    const name = /** @type {string} */ (names[index])
    let count = 0
    for (; !isOver; count += together) {
      const texts = Array.from({ length: together }, (_, more) => `${name} ${count + more}`)
      await Promise.all(texts.map((text) => log.append([text])))
    }
    return { name, count }
  })
  return {
    end() {
      isOver = true
      return deadline(Promise.all(writing), 30_000, 'writers end')
    },
  }
}

/**
 * Their writes, each writer's in order, for `checkHistory`.
 * @param {{ name: string, count: number }[]} writers @param {boolean} [acknowledged]
 */
export const written = (writers, acknowledged = true) =>
  writers.flatMap(({ name, count }) =>
    Array.from({ length: count }, (_, seq) => ({ data: `${name} ${seq}`, producer: name, acknowledged })),
  )

/**
 * Waits until every reader has got so many more chunks.
 * @param {{ count: () => number }[]} readers @param {number} more
 */
export async function getMore(readers, more) {
  const before = readers.map(({ count }) => count())
  await until(() => readers.every(({ count }, index) => count() >= (before[index] ?? 0) + more), {
    timeout: 25_000,
    message: () => `${more} more for each: ${readers.map(({ count }) => count())} after ${before}`,
  })
}
