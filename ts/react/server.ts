/**
 * Whether this is a server. There, hooks return their initial value without calling React's hooks: a framework may
 * render with its own copy of React, while packages with native code, such as this one, get another.
 */
export function isServer(): boolean {
  return (globalThis as { window?: unknown }).window === undefined
}
