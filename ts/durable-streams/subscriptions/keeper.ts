// Does what is due: tells wakes, ends leases, finds what nobody has noticed. Every server with subscriptions has one; which of them
// does something is decided by whoever changes the subscription first.

import type { Engine } from '../../core/engine'
import { TidemarkError } from '../../errors/errors'
import type { Reminder } from '../../native/native'
import { payload } from '../../options/log-options'
import { clearTimeout, now, setTimeout } from '../../util/timers'
import { FIRST } from '../offsets'
import { Growth, globOf } from './growth'
import { newWakeId, type SigningKeys, tokenOf } from './keys'
import { Looks } from './looks'
import { idOf, keyOf, read } from './record'
import { beginRounds, goRound, ROUND } from './round'
import { LOOK_MS, Shelf } from './shelf'
import { streamsOf, urlOf } from './shown'
import {
  awake,
  expire,
  failed,
  finish,
  isOthers,
  link,
  type Subscription,
  type Tail,
  type Tails,
  tell,
  told,
  toldAgain,
  toldTo,
  unlink,
  type Wake,
} from './state'
import { tailsOf } from './tails'
import { deliver, type Told } from './webhook'

/** The longest time between two questions for what is due. */
const POLL_MS = 1000
/** How much that is due is done at the same time: a webhook may take its time. */
const AT_ONCE = 32
/** What finds no room waits for so long after there is some: then it begins together with what finds room meanwhile. */
const GATHER_MS = 10
/** The most streams of a subscription that are looked at in its turn; the others come in their own. */
const WINDOW = 256
/** The most reminders of one request. */
const RECALLED = 4

const NONE: Tails = new Map()

export interface KeeperOptions {
  engine: Engine
  keys: SigningKeys | undefined
  allowLocalhost: boolean
  over: AbortSignal
  onError: ((error: unknown) => unknown) | undefined
}

export class Keeper {
  readonly shelf: Shelf
  readonly #options: KeeperOptions
  readonly #looks: Looks
  readonly #growth: Growth
  #news = -1
  /** When the list of all was read last. */
  #learned = Number.NEGATIVE_INFINITY
  /** How much that was due is being done. */
  #underWay = 0
  /** Something may be due for which there was no room. */
  #isCrowded = false
  /** When the loop looks next for what is due, … */
  #wakeAt = Number.POSITIVE_INFINITY
  /** … which it is told while it rests. */
  #rearm: () => void = () => {}
  /** The last error that was reported. */
  #said = ''

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#looks = new Looks((id, paths) => this.#tried(this.#look(id, paths)), options.over)
    this.#growth = new Growth((id, paths) => this.#looks.ask(id, paths))
    this.shelf = new Shelf(options.engine.reminders, (id, after, before, inMs) => {
      if (after === null) this.#growth.forget(id)
      else this.#growth.learn(id, after)
      this.#hurry(now() + inMs)
      // What has grown while somebody worked was left to them.
      if (after?.wake === null && before?.wake !== null) this.#looks.ask(id, pathsOf(after))
    })
    const stop = options.engine.onGrowth((path) => this.#growth.grew(path))
    options.over.addEventListener('abort', stop)
    void this.#run().finally(stop)
  }

  /** Looks at some streams of a subscription, or at all: those that its pattern matches are added, and work wakes it. */
  async #look(id: string, paths?: ReadonlySet<string>): Promise<void> {
    await this.shelf.change(id, async (subscription, now) => {
      if (subscription === null) return { answer: undefined }
      const isGlob = globOf(subscription.config)
      const own = new Set(pathsOf(subscription))
      const concerned = [...(paths ?? own)].filter((path) => own.has(path) || isGlob?.(path))
      const tails = await tailsOf(this.#options.engine, [...concerned, ...list(toldTo(subscription))])
      const linked = concerned.reduce(
        (changed, path) => {
          const tail = tails.get(path) ?? null
          if (isOthers(subscription, tail)) this.#growth.leave(id, path)
          return withStream(changed, path, tail, own.has(path))
        },
        toldAgain(subscription, tails, now),
      )
      return { next: awake(expire(linked, now), tails, now, newWakeId()), answer: undefined }
    })
  }

  /** Makes sure that streams are found which others create. */
  seek(now: number): Promise<void> {
    return beginRounds(this.#options.engine, now)
  }

  async #run(): Promise<void> {
    const { over, engine } = this.#options
    while (!over.aborted) {
      let rest = POLL_MS
      this.#wakeAt = Number.POSITIVE_INFINITY
      try {
        const room = AT_ONCE - this.#underWay
        this.#isCrowded = room <= 0
        if (room > 0) {
          const due = await engine.reminders.due(room, LOOK_MS)
          try {
            const isOld = now() - this.#learned >= LOOK_MS
            if (isOld || due.news !== this.#news) {
              await this.#learn(due.news, due.now)
              this.#learned = now()
            }
          } finally {
            // Nobody else gets them for a while.
            for (const reminder of due.reminders) this.#do(reminder, due.now)
          }
          if (due.next !== null) rest = Math.min(Math.max(due.next - due.now, 10), POLL_MS)
          this.#said = ''
        }
      } catch (error) {
        if (isOver(error)) return
        this.#report(error)
      }
      this.#hurry(now() + rest)
      await this.#rest()
    }
  }

  /** Looks for what is due then, unless it does so sooner. */
  #hurry(at: number): void {
    if (at >= this.#wakeAt) return
    this.#wakeAt = at
    this.#rearm()
  }

  /** Waits until the loop looks next. Does not hold the process. */
  #rest(): Promise<void> {
    return new Promise((resolve) => {
      const { over } = this.#options
      let timer: NodeJS.Timeout | undefined
      const end = () => {
        clearTimeout(timer)
        this.#rearm = () => {}
        over.removeEventListener('abort', end)
        resolve()
      }
      this.#rearm = () => {
        clearTimeout(timer)
        timer = setTimeout(end, Math.max(0, this.#wakeAt - now()))
        timer.unref()
      }
      this.#rearm()
      over.addEventListener('abort', end)
      if (over.aborted) end()
    })
  }

  #do(reminder: Reminder, now: number): void {
    this.#underWay += 1
    void this.#tried(this.#take(reminder, now)).finally(() => {
      this.#underWay -= 1
      this.#makeRoom()
    })
  }

  #makeRoom(): void {
    if (!this.#isCrowded) return
    this.#isCrowded = false
    this.#hurry(now() + GATHER_MS)
  }

  #tried(work: Promise<void>): Promise<void> {
    return work.catch((error) => this.#report(error))
  }

  /** What is not done is due again after a while: an error is only reported. */
  #report(error: unknown): void {
    const { over, onError } = this.#options
    const isPassing = error instanceof TidemarkError && (error.retryable || error.code === 'ERR_CLOSED')
    const said = String(error)
    if (over.aborted || isPassing || said === this.#said) return
    this.#said = said
    onError?.(error)
  }

  /** Others may have made or removed subscriptions, or added streams to them; or Redis has lost the list. */
  async #learn(news: number, now: number): Promise<void> {
    const { reminders } = this.#options.engine
    const listed = new Map(await reminders.all())
    // The others are as they were read before: all of them together can be very long. Wakes and cursors are no news.
    const changed = [...(news === this.#news ? [] : listed)].flatMap(([key, version]) => {
      const id = idOf(key)
      return id === undefined || this.#growth.versionOf(id) === version ? [] : [id]
    })
    // Redis may have evicted the list and not the subscriptions: those that are recalled are listed again.
    const missing = this.#growth.ids.filter((id) => !listed.has(keyOf(id)))
    const ids = [...missing, ...changed]
    for (let at = 0; at < ids.length; at += RECALLED) {
      const some = ids.slice(at, at + RECALLED)
      const recalled = await reminders.recall(some.map(keyOf))
      for (const [index, id] of some.entries()) this.#remember(id, recalled.reminders[index] ?? null)
    }
    if (this.#growth.hasPatterns && !listed.has(ROUND)) await this.seek(now)
    this.#news = news
  }

  #remember(id: string, found: Reminder | null): void {
    const subscription = found && this.#read(found.value)
    if (found === null) this.#growth.forget(id)
    else if (subscription) this.#growth.learn(id, subscription, found.version)
  }

  #read(value: string): Subscription | undefined {
    try {
      return read(value)
    } catch (error) {
      this.#report(error)
      return undefined
    }
  }

  async #take(reminder: Reminder, now: number): Promise<void> {
    const { engine } = this.#options
    if (reminder.key === ROUND) {
      return goRound(engine, reminder, now, this.#growth.hasPatterns, (path) => this.#growth.found(path))
    }
    const id = idOf(reminder.key)
    const subscription = id === undefined ? undefined : this.#read(reminder.value)
    if (id === undefined || subscription === undefined) return
    if (subscription.wake?.next != null) return this.#tell(id)
    // One whose lease has ended is looked at as a whole.
    const isIdle = subscription.wake === null || subscription.wake.until === null
    return this.#look(id, isIdle ? windowOf(subscription, now) : undefined)
  }

  async #tell(id: string): Promise<void> {
    const begun = await this.shelf.change(id, async (subscription, now) => {
      const wake = subscription?.wake
      if (subscription === null || wake?.next == null || wake.next > now) return { answer: null }
      const isLapsed = wake.until !== null && wake.until <= now
      const tails = isLapsed ? await this.tails(subscription) : NONE
      const next = tell(subscription, tails, now, newWakeId())
      return { next, answer: next.wake === null ? null : next }
    })
    if (begun === null) return
    const { instance } = begun
    const wake = begun.wake as Wake
    const telling = begun.config.type === 'webhook' ? this.#send(begun) : this.#append(begun)
    const { isOk, isDone, log } = await telling.catch((): Told => ({ isOk: false, isDone: false }))
    await this.shelf.change(id, async (subscription, now) => {
      if (subscription?.instance !== instance) return { answer: undefined }
      if (!isOk) return { next: failed(subscription, wake.id, now, Math.random()), answer: undefined }
      if (!isDone || subscription.wake?.id !== wake.id) {
        return { next: told(subscription, wake.id, now, log), answer: undefined }
      }
      const tails = await this.tails(subscription)
      return { next: awake(finish(subscription, wake.id), tails, now, newWakeId()), answer: undefined }
    })
  }

  /** Where all of its streams end. */
  tails(subscription: Subscription): Promise<Tails> {
    return tailsOf(this.#options.engine, pathsOf(subscription))
  }

  /** Sends the webhook. */
  async #send(subscription: Subscription): Promise<Told> {
    const { keys, allowLocalhost } = this.#options
    const { config, generation, id } = subscription
    if (keys === undefined) return { isOk: false, isDone: false }
    const body = JSON.stringify({
      subscription_id: id,
      wake_id: (subscription.wake as Wake).id,
      generation,
      streams: streamsOf(subscription),
      callback_url: urlOf(subscription, 'callback'),
      callback_token: tokenOf(subscription, generation),
    })
    const signature = keys.signature(body, Math.floor(Date.now() / 1000))
    return deliver(config.url ?? '', body, signature, allowLocalhost)
  }

  /** Appends the wake to its stream, once however often it is tried. */
  async #append(subscription: Subscription): Promise<Told> {
    const { config, generation, id, instance, owner, wake } = subscription
    const event = JSON.stringify({
      type: 'wake',
      subscription_id: id,
      stream: (wake as Wake).stream,
      generation,
      ts: Date.now(),
    })
    const log = this.#options.engine.log(config.wakeStream ?? '', { owner: owner ?? undefined })
    const producer = { id: `__ds/${instance}`, epoch: generation, seq: 0 }
    const { outcome, head } = await log.attempt({ producer }, payload([event], 'event'))
    const isOk = outcome === 'written' || outcome === 'duplicate'
    return { isOk, isDone: false, log: head?.generation }
  }
}

function pathsOf({ links }: Subscription): string[] {
  return links.map(({ path }) => path)
}

/** Adds a stream that the pattern matches, and takes away one that is gone. */
function withStream(
  subscription: Subscription,
  path: string,
  tail: Tail | null,
  isLinked: boolean,
): Subscription {
  if (isLinked) return tail === null ? unlink(subscription, path, 'glob') : subscription
  if (tail === null || isOthers(subscription, tail)) return subscription
  // There is no room: it is found again when another one is gone.
  return link(subscription, path, 'glob', FIRST) ?? subscription
}

function list(path: string | null): string[] {
  return path === null ? [] : [path]
}

/** The streams whose turn it is. */
function windowOf({ links }: Subscription, now: number): Set<string> {
  const windows = Math.max(1, Math.ceil(links.length / WINDOW))
  const at = (Math.floor(now / LOOK_MS) % windows) * WINDOW
  return new Set(links.slice(at, at + WINDOW).map(({ path }) => path))
}

function isOver(error: unknown): boolean {
  return error instanceof TidemarkError && error.code === 'ERR_CLOSED'
}
