/**
 * `ts/timers.ts` for what runs in a browser, too: as everything is when this is loaded, so that a test's fake timers do not
 * keep a client from coming back.
 */
export const { setTimeout, clearTimeout } = globalThis

/** The longest pause that a timer makes; a longer one it makes none of. */
export const MAX_PAUSE_MS = 2 ** 31 - 1
