/**
 * Whether this is a server, which renders what hooks begin with. They return that without a hook of React's: a framework may
 * render with a React of its own, while packages with native code, as this one, are given another.
 */
export function isServer(): boolean {
  return (globalThis as { window?: unknown }).window === undefined
}
