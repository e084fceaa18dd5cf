// Which subscriptions a stream concerns that has grown in this process. The patterns are kept here, so that nobody who appends waits
// for anything; what is missed, since another server has just made a subscription, or another process appends, the keeper finds.

import { clearTimeout, now, setTimeout } from '../../util/timers'
import { matcher } from './glob'
import type { Config, Subscription } from './state'

/** The shortest time between two looks at one subscription on account of growth. */
const PACE_MS = 50
/** How long streams are remembered that have grown, for subscriptions that are not known yet. */
const RECENT_MS = 5000
const MOST_RECENT = 5000

interface Known {
  instance: string
  /** What its pattern matches, if it has one. */
  isGlob: ((path: string) => boolean) | undefined
  paths: ReadonlySet<string>
  grown: Set<string>
  /** When it may be looked at next. */
  from: number
  timer: NodeJS.Timeout | undefined
}

function concerns({ paths, isGlob }: Known, path: string): boolean {
  return paths.has(path) || isGlob?.(path) === true
}

/** What a subscription's pattern matches. Its own wakes are no work, and reserved paths are no streams. */
export function globOf({ pattern, wakeStream }: Config): ((path: string) => boolean) | undefined {
  if (pattern === null) return undefined
  const isMatch = matcher(pattern)
  return (path) => path !== wakeStream && !/^__ds(\/|$)/.test(path) && isMatch(path)
}

export class Growth {
  readonly #known = new Map<string, Known>()
  readonly #recent = new Map<string, number>()
  readonly #look: (id: string, paths: ReadonlySet<string>) => void

  constructor(look: (id: string, paths: ReadonlySet<string>) => void) {
    this.#look = look
  }

  /** Whether any subscription has a pattern. */
  get hasPatterns(): boolean {
    return [...this.#known.values()].some(({ isGlob }) => isGlob !== undefined)
  }

  /** A stream has grown, or may be new to a subscription. */
  grew(path: string): void {
    for (const [id, known] of this.#known) if (concerns(known, path)) this.#note(id, known, path)
    this.#recent.delete(path)
    this.#recent.set(path, now())
    const [oldest] = this.#recent.keys()
    if (oldest !== undefined && this.#recent.size > MOST_RECENT) this.#recent.delete(oldest)
  }

  /** A stream that was found in the list. */
  found(path: string): void {
    for (const [id, known] of this.#known) {
      if (!known.paths.has(path) && known.isGlob?.(path)) this.#note(id, known, path)
    }
  }

  learn(id: string, subscription: Subscription): void {
    const before = this.#known.get(id)
    const { instance, config, links } = subscription
    const isSame = before?.instance === instance
    const known: Known = {
      instance,
      isGlob: isSame ? before?.isGlob : globOf(config),
      paths: new Set(links.map(({ path }) => path)),
      grown: before?.grown ?? new Set(),
      from: before?.from ?? 0,
      timer: before?.timer,
    }
    this.#known.set(id, known)
    if (isSame && links.length <= (before?.paths.size ?? 0)) return
    const since = now() - RECENT_MS
    for (const [path, at] of this.#recent) {
      if (at > since && !before?.paths.has(path) && concerns(known, path)) this.#note(id, known, path)
    }
  }

  forget(id: string): void {
    clearTimeout(this.#known.get(id)?.timer)
    this.#known.delete(id)
  }

  /** Forgets all but these. */
  keep(ids: ReadonlySet<string>): void {
    for (const id of this.#known.keys()) if (!ids.has(id)) this.forget(id)
  }

  #note(id: string, known: Known, path: string): void {
    known.grown.add(path)
    if (known.timer !== undefined) return
    const timer = setTimeout(() => this.#flush(id), Math.max(0, known.from - now()))
    timer.unref()
    known.timer = timer
  }

  #flush(id: string): void {
    const known = this.#known.get(id)
    if (known === undefined) return
    const { grown } = known
    known.grown = new Set()
    known.timer = undefined
    known.from = now() + PACE_MS
    this.#look(id, grown)
  }
}
