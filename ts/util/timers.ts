import { performance } from 'node:perf_hooks'
import * as timers from 'node:timers'

/**
 * Timers of our own. Tests replace the process' timers by fakes that stand still until they are advanced, which must not stop an
 * engine. So code that depends on time takes it from here, where the timers are the ones from when this was loaded.
 */
export const setTimeout = genuine('setTimeout', timers.setTimeout)
export const clearTimeout = genuine('clearTimeout', timers.clearTimeout)
export const setInterval = genuine('setInterval', timers.setInterval)
export const clearInterval = genuine('clearInterval', timers.clearInterval)
export const setImmediate = genuine('setImmediate', timers.setImmediate)
export const nextTick = genuine('nextTick', process.nextTick)
/** Milliseconds of a clock that only goes forward. */
export const now: () => number = genuine('now', performance.now).bind(performance)

/** Waits; rejects with the signal's reason when that is aborted. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      if (signal.aborted) reject(signal.reason)
      else resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
  })
}

/** The function that a fake replaced before this was loaded; the fakes of Jest and Vitest keep it. */
function genuine<F extends (...args: never[]) => unknown>(name: string, given: F): F {
  const { clock } = given as { clock?: Record<string, unknown> }
  const original = clock?.[`_${name}`]
  return typeof original === 'function' ? (original as F) : given
}
