// Whose streams are to be looked at. One append may concern all subscriptions, and come faster than they can be looked at: so each has
// one look under way at most, and what is asked for meanwhile is one more.

/** How many subscriptions are looked at at the same time. */
const AT_ONCE = 32

export class Looks {
  readonly #look: (id: string, paths: ReadonlySet<string>) => Promise<void>
  readonly #over: AbortSignal
  readonly #underWay = new Set<string>()
  /** In the order in which they were asked for. None waits unless some are under way. */
  readonly #waiting = new Map<string, Set<string>>()

  /** `look` does not fail. */
  constructor(look: (id: string, paths: ReadonlySet<string>) => Promise<void>, over: AbortSignal) {
    this.#look = look
    this.#over = over
  }

  /** Has these streams of a subscription looked at. */
  ask(id: string, paths: Iterable<string>): void {
    const waiting = this.#waiting.get(id) ?? new Set()
    for (const path of paths) waiting.add(path)
    this.#waiting.set(id, waiting)
    this.#go()
  }

  #go(): void {
    if (this.#over.aborted) this.#waiting.clear()
    for (const [id, paths] of this.#waiting) {
      if (this.#underWay.size >= AT_ONCE) return
      if (this.#underWay.has(id)) continue
      this.#waiting.delete(id)
      this.#underWay.add(id)
      void this.#look(id, paths).finally(() => {
        this.#underWay.delete(id)
        this.#go()
      })
    }
  }
}
