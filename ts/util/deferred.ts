/** A promise and its ends; Node.js 20 has no `Promise.withResolvers`. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T | PromiseLike<T>) => void
  readonly reject: (reason: unknown) => void
}

let resolveLatest: (value: never) => void = ignore
let rejectLatest: (reason: unknown) => void = ignore

// One executor for all promises, which runs within the constructor: no closure is made for each of them.
function capture(resolve: (value: never) => void, reject: (reason: unknown) => void): void {
  resolveLatest = resolve
  rejectLatest = reject
}

export function deferred<T>(): Deferred<T> {
  const promise = new Promise<T>(capture)
  const resolve = resolveLatest as (value: T | PromiseLike<T>) => void
  const reject = rejectLatest
  // They would keep their promise, and with it a chunk of any size, until the next one is made.
  resolveLatest = ignore
  rejectLatest = ignore
  return { promise, resolve, reject }
}

/** For promises whose failure is reported elsewhere. */
export function ignore(): void {}

export type MaybePromise<T> = T | PromiseLike<T>
