/** A value, or a function that is asked for it each time. */
export type Resolvable<T> = T | PromiseLike<T> | (() => T | PromiseLike<T>)

export async function resolve<T>(given: Resolvable<T> | undefined): Promise<T | undefined> {
  return typeof given === 'function' ? (given as () => T | PromiseLike<T>)() : given
}

export function jsonHeaders(given: ConstructorParameters<typeof Headers>[0]): Headers {
  const headers = new Headers(given)
  if (!headers.has('content-type')) headers.set('content-type', 'application/json')
  return headers
}
