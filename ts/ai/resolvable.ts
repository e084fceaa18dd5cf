import type { MaybePromise } from '../util/deferred.js'

/** A value, or a function that returns it each time. */
export type Resolvable<T> = MaybePromise<T> | (() => MaybePromise<T>)

export async function resolve<T>(given: Resolvable<T> | undefined): Promise<T | undefined> {
  return typeof given === 'function' ? (given as () => MaybePromise<T>)() : given
}
