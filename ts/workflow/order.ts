// Keeps the order of calls, although some have to wait for the id of their run.

/**
 * Calls `begin` for a name in the order of the calls of `run`, each once its own `prepare` is done. The next `begin` does not wait for the
 * result of the one before.
 */
export class Order {
  readonly #tails = new Map<string, Promise<unknown>>()

  run<P, R>(
    name: string,
    prepare: () => Promise<P> | undefined,
    begin: (prepared?: P) => Promise<R>,
  ): Promise<R> {
    const before = this.#tails.get(name)
    const prepared = prepare()
    // Nothing to wait for.
    if (before === undefined && prepared === undefined) return begin()
    // A failure is reported below. Until then it must not count as unhandled.
    prepared?.catch(() => {})
    let result: Promise<R> | undefined
    const begun = (async () => {
      await before
      const known = await prepared
      result = begin(known)
      result.catch(() => {})
    })()
    const tail = begun.catch(() => {})
    this.#tails.set(name, tail)
    tail.then(() => {
      if (this.#tails.get(name) === tail) this.#tails.delete(name)
    })
    return begun.then(() => result as Promise<R>)
  }
}

/**
 * Does one piece of work after the other. Those that were queued before a failure was known fail with it, so that a caller who tries all of
 * them again keeps their order.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve()
  #failures = 0
  #failure: unknown

  take(work: () => Promise<void>): Promise<void> {
    const [before, known] = [this.#last, this.#failures]
    const turn = (async () => {
      await before
      if (this.#failures !== known) throw this.#failure
      try {
        await work()
      } catch (error) {
        this.#failures++
        this.#failure = error
        throw error
      }
    })()
    this.#last = turn.catch(() => {})
    return turn
  }
}
