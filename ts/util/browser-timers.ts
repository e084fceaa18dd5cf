type Timers = Pick<typeof globalThis, 'setTimeout' | 'clearTimeout'>
const { clock } = globalThis.setTimeout as {
  clock?: { _setTimeout?: Timers['setTimeout']; _clearTimeout?: Timers['clearTimeout'] }
}

/** `ts/util/timers.ts` for what runs in a browser, too: a test's fake timers must not keep a client from coming back. */
export const {
  _setTimeout: setTimeout = globalThis.setTimeout,
  _clearTimeout: clearTimeout = globalThis.clearTimeout,
} = clock ?? {}

/** The longest pause that a timer makes; a longer one it makes none of. */
export const MAX_PAUSE_MS = 2 ** 31 - 1
