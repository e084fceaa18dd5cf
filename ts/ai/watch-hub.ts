/** The tabs of a browser, which watch their chats through one connection: the leader's. */
import { setTimeout } from '../util/browser-timers.js'
import type { KnownTransport } from './known.js'
import { type Channel, leading } from './leader.js'

/** The current or last answer of a chat, as the server announces it. */
export interface Announcement {
  readonly chatId: string
  readonly generation: string | null
  readonly state: string | null
  readonly after: string | null
  readonly previous?: string | undefined
  readonly messageId?: string | undefined
  readonly question?: { id: string } | undefined
}

/** A question asked in one tab, for the others: the chat's last message, and the id of the one before. */
export interface Asked {
  readonly chatId: string
  readonly question: { id: string }
  readonly previous: string | undefined
}

interface Member {
  told(told: Announcement): void
  asked(asked: Asked): void
}

type TabMessage =
  | ({ kind: 'asked' } & Asked)
  | { kind: 'told'; told: Announcement }
  /** A tab's chats, when they change and when the leader asks. */
  | { kind: 'shows'; tab: string; chatIds: string[] }
  | { kind: 'who' }
  /** Whether there is a leader who is awake, and the answer. */
  | { kind: 'awake?' }
  | { kind: 'awake' }

/** The most chats that a server watches for one connection. */
const MOST = 32
/** Milliseconds for which changes are collected. */
const GATHER_MS = 50
/** Milliseconds after which a leader that does not answer counts as asleep. */
const ANSWER_MS = 1000

const hubs = new Map<string, Hub>()

/** Shared by all transports of this page that use the same server. */
export function hubOf({ api }: KnownTransport): Hub {
  const known = hubs.get(api) ?? new Hub(api)
  hubs.set(api, known)
  return known
}

class Hub {
  readonly #name: string
  readonly #tab = Math.random().toString(36).slice(2)
  readonly #members = new Map<Member, { chatId: string; transport: KnownTransport }>()
  #end: (() => void) | undefined
  #channel: Channel | undefined
  #takeOver = () => {}
  #isAnswered = true
  /** While this tab leads. */
  #term: AbortSignal | undefined
  #following: AbortController | undefined
  #isDue = false
  #watched = ''
  readonly #tabs = new Map<string, string[]>()
  readonly #latest = new Map<string, Announcement>()

  constructor(api: string) {
    this.#name = `tidemark-watch ${api}`
  }

  join(chatId: string, transport: KnownTransport, member: Member): () => void {
    this.#members.set(member, { chatId, transport })
    this.#end ??= this.#begin()
    this.#show()
    return () => {
      this.#members.delete(member)
      if (this.#members.size > 0) return this.#show()
      this.#end?.()
      this.#end = undefined
    }
  }

  /** Sends a message to all tabs, including this one. */
  say(said: TabMessage): void {
    this.#channel?.post(said)
    this.#hear(said)
  }

  #begin(): () => void {
    const channel = openChannel(this.#name)
    this.#channel = channel
    const unlisten = channel.listen((said) => this.#hear(said as TabMessage))
    // Those who cannot hear each other must not wait for each other.
    const group = channel.isShared ? this.#name : `${this.#name} ${this.#tab}`
    const election = leading(group, channel, (signal) => this.#lead(signal))
    this.#takeOver = () => election.takeOver()
    const unwatch = whenSeen((isSeen) => {
      if (isSeen) this.#look()
      // A page that is left says so; one that is restored from the browser's page cache reports again.
      else channel.post({ kind: 'shows', tab: this.#tab, chatIds: [] })
    })
    return () => {
      channel.post({ kind: 'shows', tab: this.#tab, chatIds: [] })
      this.#channel = undefined
      unwatch()
      unlisten()
      election.leave()
      channel.close()
    }
  }

  /** Makes sure that there is a leader that is awake. */
  #look(): void {
    this.#show()
    if (this.#term !== undefined) {
      this.#schedule()
      return
    }
    this.#isAnswered = false
    this.#channel?.post({ kind: 'awake?' })
    setTimeout(() => {
      if (!this.#isAnswered && this.#channel !== undefined) this.#takeOver()
    }, ANSWER_MS)
  }

  #show(): void {
    const chatIds = [...new Set([...this.#members.values()].map(({ chatId }) => chatId))]
    this.say({ kind: 'shows', tab: this.#tab, chatIds })
  }

  #hear(said: TabMessage): void {
    const isLeader = this.#term !== undefined
    if (said.kind === 'told') this.#tell(said.told.chatId, (member) => member.told(said.told))
    else if (said.kind === 'asked') this.#tell(said.chatId, (member) => member.asked(said))
    else if (said.kind === 'awake') this.#isAnswered = true
    else if (said.kind === 'who') this.#show()
    else if (said.kind === 'awake?' && isLeader) this.#channel?.post({ kind: 'awake' })
    else if (said.kind === 'shows' && isLeader) {
      const { tab, chatIds } = said
      this.#tabs.delete(tab)
      if (chatIds.length > 0) this.#tabs.set(tab, chatIds)
      // A tab that comes late gets what the others know.
      for (const id of chatIds) {
        const told = this.#latest.get(id)
        if (told !== undefined) this.say({ kind: 'told', told })
      }
      this.#schedule()
    }
  }

  #tell(chatId: string, tell: (member: Member) => void): void {
    for (const [member, { chatId: id }] of this.#members) if (id === chatId) tell(member)
  }

  #lead(term: AbortSignal): void {
    this.#term = term
    this.#tabs.clear()
    this.#latest.clear()
    term.addEventListener('abort', () => {
      if (this.#term !== term) return
      this.#term = undefined
      this.#leaveOff()
    })
    this.#channel?.post({ kind: 'who' })
    this.#show()
  }

  #leaveOff(): void {
    this.#following?.abort()
    this.#following = undefined
  }

  #schedule(): void {
    if (this.#isDue) return
    this.#isDue = true
    setTimeout(() => {
      this.#isDue = false
      this.#refresh()
    }, GATHER_MS)
  }

  /** Makes the connection watch the chats that are shown now. */
  #refresh(): void {
    const [own] = this.#members.values()
    if (this.#term === undefined || own === undefined) return
    // The tabs' latest chats come first; the ones shown longest ago are left out if there are too many.
    const shown = [own.chatId, ...[...this.#tabs.values()].reverse().flat()]
    const chatIds = [...new Set(shown)].slice(0, MOST)
    const watched = [...chatIds].sort().join('\n')
    if (this.#following !== undefined && watched === this.#watched) return
    this.#watched = watched
    this.#leaveOff()
    const following = new AbortController()
    this.#following = following
    for (const id of this.#latest.keys()) if (!chatIds.includes(id)) this.#latest.delete(id)
    this.#follow(own.transport, chatIds, following.signal)
      // Refused: retried when the tabs show other chats, or the page is visible again.
      .catch(() => {})
      .finally(() => {
        if (this.#following === following) this.#following = undefined
      })
  }

  async #follow(transport: KnownTransport, chatIds: string[], signal: AbortSignal): Promise<void> {
    for await (const chunk of transport.followWatched(chatIds, signal)) {
      const told = chunk.json<Partial<Announcement>>()
      // An older server sends an answer's chunks instead.
      if (told.chatId === undefined || told.generation === undefined) return
      const before = this.#latest.get(told.chatId)
      this.#latest.set(told.chatId, told as Announcement)
      if (before === undefined || told.generation !== before.generation)
        this.say({ kind: 'told', told: told as Announcement })
    }
  }
}

/** The channel between tabs; where there is none, or the page may store nothing, each tab works alone. */
function openChannel(name: string): Channel & { isShared: boolean; close(): void } {
  let channel: InstanceType<typeof BroadcastChannel>
  try {
    channel = new BroadcastChannel(name)
  } catch {
    return { isShared: false, post() {}, listen: () => () => {}, close() {} }
  }
  ;(channel as { unref?: () => void }).unref?.()
  const listeners = new Set<(message: Record<string, unknown>) => void>()
  channel.onmessage = (event: unknown) => {
    for (const listener of [...listeners]) listener((event as { data: Record<string, unknown> }).data)
  }
  return {
    isShared: true,
    post: (message) => channel.postMessage(message),
    listen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close: () => channel.close(),
  }
}

/** Calls back when the page becomes visible, is restored from the browser's page cache, or is left. */
function whenSeen(callback: (isSeen: boolean) => void): () => void {
  const { document } = globalThis as { document?: EventTarget & { visibilityState: string } }
  if (document === undefined) return () => {}
  const page = globalThis as unknown as EventTarget
  const onSeen = () => document.visibilityState === 'visible' && callback(true)
  const onLeft = () => callback(false)
  const events = [
    [document, 'visibilitychange', onSeen],
    [page, 'pageshow', onSeen],
    [page, 'online', onSeen],
    [page, 'pagehide', onLeft],
  ] as const
  for (const [target, type, listener] of events) target.addEventListener(type, listener)
  return () => {
    for (const [target, type, listener] of events) target.removeEventListener(type, listener)
  }
}
