// Which subscriptions a stream concerns that has grown in this process. The patterns are kept here, so that nobody who appends waits
// for anything; what is missed, since another server has just made a subscription, or another process appends, the keeper finds.

import { clearTimeout, now, setTimeout } from '../../util/timers'
import { matcher } from './glob'
import { type Config, MOST_LINKS, type Subscription } from './state'

/** The shortest time between two looks at one subscription on account of growth. */
const PACE_MS = 50
/** How long streams are remembered that have grown, for subscriptions that are not known yet. */
const RECENT_MS = 5000
const MOST_RECENT = 5000
/** How long, and how many, streams of other owners are left alone that were found in the list. */
const OTHERS_MS = 600_000
const MOST_OTHERS = 10_000

interface Known {
  id: string
  instance: string
  /** The version that it was read in; undefined: it is known from a change that was made here. */
  version: number | undefined
  /** Streams of other owners that its pattern matches, as far as they were met lately. */
  others: Set<string>
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
  /** The subscriptions that a stream concerns, for those that have grown lately. */
  readonly #concerned = new Map<string, Known[]>()
  readonly #look: (id: string, paths: ReadonlySet<string>) => void

  constructor(look: (id: string, paths: ReadonlySet<string>) => void) {
    this.#look = look
  }

  /** Whether any subscription has a pattern. */
  get hasPatterns(): boolean {
    return [...this.#known.values()].some(({ isGlob }) => isGlob !== undefined)
  }

  get ids(): string[] {
    return [...this.#known.keys()]
  }

  versionOf(id: string): number | undefined {
    return this.#known.get(id)?.version
  }

  /** A stream has grown. */
  grew(path: string): void {
    for (const known of this.#concern(path)) this.#note(known, path)
    this.#recent.delete(path)
    this.#recent.set(path, now())
    bound(this.#recent)
  }

  /** A stream that was found in the list. */
  found(path: string): void {
    for (const known of this.#known.values()) {
      const isNew = !known.paths.has(path) && known.paths.size < MOST_LINKS && !known.others.has(path)
      if (isNew && known.isGlob?.(path)) this.#note(known, path)
    }
  }

  /** A stream that was found does not belong to a subscription's owner. */
  leave(id: string, path: string): void {
    const others = this.#known.get(id)?.others
    if (others === undefined) return
    if (others.size >= MOST_OTHERS) others.clear()
    // Another one may come in its place.
    if (others.size === 0) setTimeout(() => others.clear(), OTHERS_MS).unref()
    others.add(path)
  }

  #concern(path: string): Known[] {
    let found = this.#concerned.get(path)
    if (found === undefined) {
      found = [...this.#known.values()].filter((known) => concerns(known, path))
      this.#concerned.set(path, found)
      bound(this.#concerned)
    }
    return found
  }

  learn(id: string, subscription: Subscription, version?: number): void {
    const { instance, config, links } = subscription
    let known = this.#known.get(id)
    if (known !== undefined) known.version = version
    const before: ReadonlySet<string> = known?.paths ?? new Set()
    const isSame = known?.instance === instance
    if (isSame && links.length === before.size && links.every(({ path }) => before.has(path))) return
    const paths = new Set(links.map(({ path }) => path))
    this.#concerned.clear()
    if (known !== undefined && isSame) known.paths = paths
    else {
      this.forget(id)
      const blank = { id, grown: new Set<string>(), others: new Set<string>(), from: 0, timer: undefined }
      known = { ...blank, instance, version, paths, isGlob: globOf(config) }
      this.#known.set(id, known)
    }
    const since = now() - RECENT_MS
    for (const [path, at] of this.#recent) {
      if (at > since && !before.has(path) && concerns(known, path)) this.#note(known, path)
    }
  }

  forget(id: string): void {
    clearTimeout(this.#known.get(id)?.timer)
    this.#known.delete(id)
    this.#concerned.clear()
  }

  #note(known: Known, path: string): void {
    known.grown.add(path)
    if (known.timer !== undefined) return
    known.timer = setTimeout(() => this.#flush(known), Math.max(0, known.from - now()))
    known.timer.unref()
  }

  #flush(known: Known): void {
    const { grown } = known
    known.grown = new Set()
    known.timer = undefined
    known.from = now() + PACE_MS
    this.#look(known.id, grown)
  }
}

/** Drops the oldest of too many. */
function bound(map: Map<string, unknown>): void {
  const [oldest] = map.keys()
  if (oldest !== undefined && map.size > MOST_RECENT) map.delete(oldest)
}
