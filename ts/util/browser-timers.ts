type Timers = Pick<typeof globalThis, 'setTimeout' | 'clearTimeout'>
const { clock } = globalThis.setTimeout as {
  clock?: { _setTimeout?: Timers['setTimeout']; _clearTimeout?: Timers['clearTimeout'] }
}

/** `ts/util/timers.ts` for code that also runs in a browser: a test's fake timers must not keep a client from reconnecting. */
export const {
  _setTimeout: setTimeout = globalThis.setTimeout,
  _clearTimeout: clearTimeout = globalThis.clearTimeout,
} = clock ?? {}

/** The longest pause of a timer; a longer one would fire at once. */
export const MAX_PAUSE_MS = 2 ** 31 - 1
