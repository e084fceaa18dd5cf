// What a subscription is, and how it changes. Nothing here waits, reads a clock or draws lots: times and ids are given, and
// every step makes a new subscription of an old one, or refuses. Times are the store's, in milliseconds since 1970.

/** How a subscription was asked for: what counts when it is confirmed. */
export interface Config {
  type: 'webhook' | 'pull-wake'
  pattern: string | null
  streams: string[]
  url: string | null
  wakeStream: string | null
  leaseMs: number
  description: string | null
}

/** A stream of a subscription, and up to where it was processed. */
export interface Link {
  path: string
  isGlob: boolean
  isExplicit: boolean
  acked: string
  /** Where the stream ended when the wake was made, if that was beyond `acked`. */
  tail?: string | undefined
}

/** Work that somebody was told of, or is to be. */
export interface Wake {
  id: string
  /** The stream that has caused it. */
  stream: string
  /** When it is told again: now, after a pause, or, while somebody tells it, when that has taken too long. Null once it was told. */
  next: number | null
  /** The end of the worker's lease; null: nobody works. */
  until: number | null
  holder: string | null
  /** The generation of the stream that it was written to, if it was. */
  log: string | null
}

export interface Subscription {
  id: string
  /** A ULID: another subscription with the same id has another one. */
  instance: string
  /** Signs its tokens. */
  secret: string
  owner: string | null
  createdAt: number
  /** The URL that its paths begin with, for those who are told of wakes. */
  base: string
  config: Config
  /** Counts its wakes. */
  generation: number
  /** How often telling a wake has failed in a row. */
  failures: number
  wake: Wake | null
  links: Link[]
}

/** Where a stream ends. */
export interface Tail {
  offset: string
  /** Nothing was ever written to it. */
  isEmpty: boolean
  owner: string | null
}

/** The ends of streams; null for one that does not exist. What is not in it was not looked at. */
export type Tails = ReadonlyMap<string, Tail | null>

export interface Acknowledged {
  stream: string
  offset: string
}

export type Refused = 'FENCED' | 'ALREADY_CLAIMED' | 'NO_PENDING_WORK' | 'INVALID_OFFSET'

/** The most streams of a subscription. */
export const MOST_LINKS = 1000
/** How long telling a wake may take: then somebody else does it. */
export const TELLING_MS = 12_000
/** A failure is followed by a pause of this length, each further one by a pause twice as long, … */
const PAUSE_MS = 1000
/** … up to this. */
const MOST_PAUSE_MS = 60_000

/** When to look at it again; null: in its turn. */
export function dueAt({ wake }: Subscription): number | null {
  return wake && (wake.next ?? wake.until)
}

function isPending(link: Link, tail: Tail | null | undefined): tail is Tail {
  return tail != null && !tail.isEmpty && tail.offset > link.acked
}

/** Takes the ends of streams, as far as they are known, into what is told. */
function withTails(links: Link[], tails: Tails): Link[] {
  return links.map(({ tail: _, ...link }) => {
    const tail = tails.get(link.path)
    return isPending(link, tail) ? { ...link, tail: tail.offset } : link
  })
}

/** Without a wake, and with what it told. */
function asleep(subscription: Subscription): Subscription {
  return { ...subscription, wake: null, links: subscription.links.map(({ tail: _, ...link }) => link) }
}

/** Wakes a subscription that sleeps, if it has work. */
export function awake(subscription: Subscription, tails: Tails, now: number, wakeId: string): Subscription {
  if (subscription.wake !== null) return subscription
  const links = withTails(subscription.links, tails)
  const first = links.find(({ tail }) => tail !== undefined)
  if (first === undefined) return subscription
  const { type, leaseMs } = subscription.config
  const until = type === 'webhook' ? now + leaseMs : null
  const wake = { id: wakeId, stream: first.path, next: now, until, holder: null, log: null }
  return { ...subscription, links, generation: subscription.generation + 1, wake }
}

/** Whether the lease has ended of somebody who was told. */
function isOver({ next, until }: Wake, now: number): boolean {
  return next === null && until !== null && until <= now
}

/** Whoever has let the lease end is fenced. */
export function expire(subscription: Subscription, now: number): Subscription {
  return subscription.wake !== null && isOver(subscription.wake, now) ? asleep(subscription) : subscription
}

/** Begins to tell the wake, if that is due and nobody else does. A worker whose lease has ended meanwhile is fenced first. */
export function tell(subscription: Subscription, tails: Tails, now: number, wakeId: string): Subscription {
  const { wake, config } = subscription
  if (wake?.next == null || wake.next > now) return subscription
  const isLapsed = wake.until !== null && wake.until <= now
  const current = isLapsed ? awake(asleep(subscription), tails, now, wakeId) : subscription
  if (current.wake === null) return current
  const next = now + TELLING_MS
  const until = config.type === 'webhook' ? Math.max(next, now + config.leaseMs) : null
  return { ...current, wake: { ...current.wake, next, until } }
}

/** The wake was told; a pull-wake to a stream of this generation. */
export function told(
  subscription: Subscription,
  wakeId: string,
  now: number,
  log: string | null = null,
): Subscription {
  const { wake, config } = subscription
  if (wake?.id !== wakeId || wake.next === null) return subscription
  const until = config.type === 'webhook' ? now + config.leaseMs : null
  return { ...subscription, failures: 0, wake: { ...wake, next: null, until, log } }
}

/** Where a wake was written that nobody has claimed yet; null: there is none. */
export function toldTo({ wake, config }: Subscription): string | null {
  return wake !== null && wake.log !== null && wake.until === null ? config.wakeStream : null
}

/** A wake that was lost with its stream is to be told again. */
export function toldAgain(subscription: Subscription, tails: Tails, now: number): Subscription {
  const path = toldTo(subscription)
  const wake = subscription.wake
  if (path === null || wake === null || !tails.has(path)) return subscription
  const isThere = tails.get(path)?.offset.startsWith(`${wake.log}_`) === true
  return isThere ? subscription : { ...subscription, wake: { ...wake, next: now, log: null } }
}

/** The wake could not be told. `lot` is from 0 to 1. */
export function failed(subscription: Subscription, wakeId: string, now: number, lot: number): Subscription {
  const { wake, config, failures } = subscription
  if (wake?.id !== wakeId || wake.next === null) return subscription
  const pause = Math.min(PAUSE_MS * 2 ** Math.min(failures, 16), MOST_PAUSE_MS)
  const next = now + Math.round(pause * (0.8 + 0.4 * lot))
  // Perhaps it did arrive, and only the answer was lost.
  const until = config.type === 'webhook' ? now + config.leaseMs : null
  return { ...subscription, failures: failures + 1, wake: { ...wake, next, until } }
}

/** Whoever was told has done everything that the wake was about, and perhaps has acknowledged more already. */
export function finish(subscription: Subscription, wakeId: string): Subscription {
  if (subscription.wake?.id !== wakeId) return subscription
  const links = subscription.links.map(({ tail = '', ...link }) => ({
    ...link,
    acked: tail > link.acked ? tail : link.acked,
  }))
  return asleep({ ...subscription, failures: 0, links })
}

/** Gives the work to a worker. `tails` are those of all streams. */
export function claim(
  subscription: Subscription,
  worker: string,
  tails: Tails,
  now: number,
  wakeId: string,
): Subscription | Refused {
  const current = expire(subscription, now)
  if (current.wake !== null && current.wake.holder !== null) return 'ALREADY_CLAIMED'
  const { wake, links, ...rest } = awake(current, tails, now, wakeId)
  const known = withTails(links, tails)
  if (wake === null || !known.some(({ tail }) => tail !== undefined)) return 'NO_PENDING_WORK'
  const held = { ...wake, holder: worker, next: null, until: now + rest.config.leaseMs }
  return { ...rest, failures: 0, links: known, wake: held }
}

/** What a worker says of its wake. */
export interface Word {
  wakeId: string
  generation: number
  acks: Acknowledged[]
  isDone: boolean
}

function isCurrent({ wake, generation }: Subscription, word: Word, now: number): boolean {
  if (wake === null || wake.until === null || wake.until <= now) return false
  return wake.id === word.wakeId && generation === word.generation
}

/** Moves cursors forward; then the lease begins anew, or ends. `tails` are at least those of the acknowledged streams. */
export function acknowledge(
  subscription: Subscription,
  word: Word,
  tails: Tails,
  now: number,
): Subscription | Refused {
  if (!isCurrent(subscription, word, now)) return 'FENCED'
  const moved = new Map<string, string>()
  const known = new Map(subscription.links.map((link) => [link.path, link]))
  for (const { stream, offset } of word.acks) {
    const link = known.get(stream)
    const tail = tails.get(stream)
    if (link === undefined || offset < (moved.get(stream) ?? link.acked)) return 'INVALID_OFFSET'
    if (offset > (tail?.offset ?? link.acked)) return 'INVALID_OFFSET'
    moved.set(stream, offset)
  }
  const links = subscription.links.map((link) => ({ ...link, acked: moved.get(link.path) ?? link.acked }))
  const acked = { ...subscription, links }
  if (word.isDone) return asleep({ ...acked, failures: 0 })
  const until = now + subscription.config.leaseMs
  const wake = subscription.wake as Wake
  return { ...acked, wake: { ...wake, until: Math.max(until, wake.until as number) } }
}

/** Gives the work back. */
export function release(subscription: Subscription, word: Word, now: number): Subscription | Refused {
  return isCurrent(subscription, word, now) ? asleep(subscription) : 'FENCED'
}

/** Whether a stream belongs to another owner than a subscription that has one. */
export function isOthers({ owner }: Pick<Subscription, 'owner'>, tail: Tail | null): boolean {
  return tail !== null && owner !== null && tail.owner !== owner
}

/** Adds a stream, or another reason for having it. Null: it has as many as it can. */
export function link(
  subscription: Subscription,
  path: string,
  kind: 'glob' | 'explicit',
  acked: string,
): Subscription | null {
  const isGlob = kind === 'glob'
  const { links } = subscription
  const known = links.find((each) => each.path === path)
  if (known === undefined) {
    if (links.length >= MOST_LINKS) return null
    return { ...subscription, links: [...links, { path, isGlob, isExplicit: !isGlob, acked }] }
  }
  if (isGlob ? known.isGlob : known.isExplicit) return subscription
  const both = { ...known, isGlob: true, isExplicit: true }
  return { ...subscription, links: links.map((each) => (each === known ? both : each)) }
}

/** Takes away one of the reasons for having a stream. */
export function unlink(subscription: Subscription, path: string, kind: 'glob' | 'explicit'): Subscription {
  const known = subscription.links.find((each) => each.path === path)
  if (known === undefined || !(kind === 'glob' ? known.isGlob : known.isExplicit)) return subscription
  const left = { ...known, [kind === 'glob' ? 'isGlob' : 'isExplicit']: false }
  const links = subscription.links.flatMap((each) => {
    if (each !== known) return [each]
    return left.isGlob || left.isExplicit ? [left] : []
  })
  return { ...subscription, links }
}
