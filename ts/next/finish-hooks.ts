/**
 * The hooks of a process that wait for the same ended answers. A development server evaluates a route again on every save, and cannot
 * tell the earlier code that it is obsolete. So only the newest hook is called, and only the routes that got the last request
 * wait at the queue.
 */

/** Waits for ended answers until the signal is aborted, or it cannot go on. */
type Work = (signal: AbortSignal) => Promise<void>

/** Shared by all copies of this module in the process. */
const HOOKS = Symbol.for('tidemark.finish-hooks')

export interface Hook<Answer> {
  tell(answer: Answer): unknown
  work: Work
  /** Whether its engine is closed. */
  isClosed(): boolean
  onError(error: unknown): unknown
}

/** The hooks of one queue and group. A hook goes when its routes are dropped. */
export class Hooks<Answer> {
  /** The newest last. */
  #all: WeakRef<Hook<Answer>>[] = []
  #working: { hook: Hook<Answer>; end: AbortController } | undefined

  /** `queue` identifies the queue. */
  static of<Answer>(queue: unknown, group: string): Hooks<Answer> {
    const shared = globalThis as { [HOOKS]?: Map<unknown, Map<string, Hooks<never>>> }
    shared[HOOKS] ??= new Map()
    const groups = shared[HOOKS].get(queue) ?? new Map<string, Hooks<never>>()
    shared[HOOKS].set(queue, groups)
    const hooks = groups.get(group) ?? new Hooks<never>()
    groups.set(group, hooks)
    return hooks as Hooks<unknown> as Hooks<Answer>
  }

  add(hook: Hook<Answer>): void {
    this.#all.push(new WeakRef(hook))
  }

  /** Calls the newest hook; `own` is the hook of the routes that took the answer from the queue. */
  tell(answer: Answer, own: Hook<Answer>): unknown {
    return (this.#newest() ?? own).tell(answer)
  }

  /** The hook's routes got a request: it works from now on, and the previous one only finishes its current answer. */
  ask(hook: Hook<Answer>): void {
    if (this.#working?.hook === hook) return
    this.#working?.end.abort()
    const end = new AbortController()
    const working = { hook, end }
    this.#working = working
    hook
      .work(end.signal)
      .catch((error) => {
        if (!hook.isClosed() && !end.signal.aborted) hook.onError(error)
      })
      .finally(() => {
        if (this.#working === working) this.#working = undefined
      })
  }

  #newest(): Hook<Answer> | undefined {
    this.#all = this.#all.filter((each) => each.deref()?.isClosed() === false)
    return this.#all.at(-1)?.deref()
  }
}
