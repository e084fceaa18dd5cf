/** A value, or a function that is asked for it each time. */
export type Resolvable<T> = T | PromiseLike<T> | (() => T | PromiseLike<T>)

export async function resolve<T>(given: Resolvable<T> | undefined): Promise<T | undefined> {
  return typeof given === 'function' ? (given as () => T | PromiseLike<T>)() : given
}
