// The order of calls, some of which do not know yet what they are about.

/**
 * Begins what is asked for one name in the order of the calls. `prepare` may take its time; `begin` is called for one after the other
 * and only has to begin at once, not to be done.
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
    // It is told below, and must not be nobody's until then.
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
 * One after the other. What was asked for before a failure was known fails with it, so that what is tried again comes in the right
 * order.
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
