// Waiting for something to become true, always with a deadline.

import { setTimeout as sleep } from 'node:timers/promises'

/** What takes milliseconds may take so long where a machine has far more to do than it can; who waits for less, asserts that. */
export const BUSY_MS = 30_000

/**
 * Waits until the condition returns something truthy, and returns that. A condition that throws counts as not yet
 * met; its last exception is the cause of the timeout's error.
 * @template T
 * @param {() => T | Promise<T>} condition
 * @param {{ timeout?: number, interval?: number, message?: string | (() => string) }} [options] milliseconds; the
 *   message says what was waited for
 * @returns {Promise<Exclude<T, false | 0 | '' | null | undefined>>}
 */
export async function until(
  condition,
  { timeout = BUSY_MS, interval = 10, message = String(condition) } = {},
) {
  const end = performance.now() + timeout
  for (;;) {
    let cause
    try {
      const value = await deadline(condition, Math.max(1, end - performance.now()), 'the condition itself')
      if (value) return /** @type {any} */ (value)
    } catch (error) {
      cause = error
    }
    if (performance.now() >= end) {
      const what = typeof message === 'string' ? message : message()
      throw new Error(`not within ${timeout} ms: ${what}`, { cause })
    }
    await sleep(interval)
  }
}

/**
 * The promise's result, or an error that says what took longer than `ms`. The promise itself goes on.
 * @template T
 * @param {Promise<T> | (() => T | Promise<T>)} promise
 * @param {number} ms
 * @param {string} what
 * @returns {Promise<T>}
 */
export async function deadline(promise, ms, what) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${Math.round(ms)} ms: ${what}`)), ms)
  })
  try {
    return await Promise.race([
      typeof promise === 'function' ? promise() : promise,
      /** @type {never} */ (late),
    ])
  } finally {
    clearTimeout(timer)
  }
}

/** What a promise rejects with; undefined if it does not. @param {Promise<unknown>} promise @returns {Promise<any>} */
export const failureOf = (promise) =>
  promise.then(
    () => undefined,
    (error) => error,
  )
