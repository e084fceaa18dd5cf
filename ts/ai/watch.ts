/**
 * `tidemark/ai/watch`: chats follow answers that begin in another tab or on another device, in any framework; `useWatch` of
 * `tidemark/react` is built on it.
 *
 * ```ts
 * import { watch } from 'tidemark/ai/watch'
 *
 * const unwatch = watch(chat) // the SDK's `Chat`, whose transport has `watch: true`
 * ```
 *
 * @packageDocumentation
 */

import { setTimeout } from '../util/browser-timers.js'
import { type KnownTransport, transportOf } from './known.js'
import { type Announcement, type Asked, hubOf } from './watch-hub.js'

/** A message of any version of the SDK. */
export interface WatchableMessage {
  id: string
}

/** The SDK's `Chat`, or what `useChat` returns. */
export interface WatchableChat<Message extends WatchableMessage = WatchableMessage> {
  readonly id: string
  readonly status: string
  /** Assigned if there is no `setMessages`. */
  messages: Message[]
  setMessages?(update: (messages: Message[]) => Message[]): void
  resumeStream(): Promise<void>
}

/** How long a chat may take to read the chunks that have arrived. */
const BUSY_MS = 50

/**
 * Shows in a chat the questions and answers that begin elsewhere. Call it after `resumeStream`, or pass
 * the transport; does nothing unless the transport has `watch: true`.
 *
 * @returns a function that ends this
 */
export function watch<Message extends WatchableMessage>(
  chat: WatchableChat<Message>,
  transport: unknown = transportOf(chat.id),
): () => void {
  const known = transport as KnownTransport
  return known.isWatching ? new Watched(chat, known).start() : () => {}
}

/**
 * To a last message in which a call's input is incomplete `ai` 5 adds the answer, which is sent from its beginning and has the call.
 */
function withoutOpenCalls<Message extends WatchableMessage>(messages: Message[]): Message[] {
  const last = messages.at(-1) as (Message & { parts?: readonly unknown[] }) | undefined
  const isOpen = (part: unknown) => (part as { state?: unknown } | null)?.state === 'input-streaming'
  if (!last?.parts?.some(isOpen)) return messages
  return [...messages.slice(0, -1), { ...last, parts: last.parts.filter((part) => !isOpen(part)) }]
}

class Watched<Message extends WatchableMessage> {
  readonly #chat: WatchableChat<Message>
  readonly #transport: KnownTransport
  /** A question of another tab in this browser, of any size. */
  #asked: Asked | undefined
  /** Announcements that are not processed yet. */
  #told: Announcement | undefined
  /** Whether this is the first announcement for this chat. */
  #isFirst = true
  #isOver = false

  constructor(chat: WatchableChat<Message>, transport: KnownTransport) {
    this.#chat = chat
    this.#transport = transport
  }

  start(): () => void {
    const { id } = this.#chat
    const activity = this.#transport.activityOf(id)
    const hub = hubOf(this.#transport)
    const leave = hub.join(id, this.#transport, {
      told: (told) => {
        this.#told = told
        this.#check()
      },
      asked: (asked) => {
        this.#asked = asked
      },
    })
    const onIdle = () => this.#later(0)
    const onAsk = (messages: readonly unknown[]) => {
      const previous = (messages.at(-2) as WatchableMessage | undefined)?.id
      const last = messages.at(-1)
      if (last === undefined) return
      // As the server gets it: what a framework wraps around a message (Vue) cannot be sent to another tab.
      const question = JSON.parse(JSON.stringify(last)) as WatchableMessage
      hub.say({ kind: 'asked', chatId: id, question, previous })
    }
    const latest = <Given>(messages: Given[]) => {
      const known = new Map<string, Message>()
      this.#update((current) => {
        for (const message of current) known.set(message.id, message)
        return current
      })
      return messages.map(
        (message) => (known.get((message as WatchableMessage).id) as Given | undefined) ?? message,
      )
    }
    activity.onIdle = onIdle
    activity.onAsk = onAsk
    activity.latest = latest
    return () => {
      this.#isOver = true
      leave()
      if (activity.onIdle === onIdle) activity.onIdle = undefined
      if (activity.onAsk === onAsk) activity.onAsk = undefined
      if (activity.latest === latest) activity.latest = undefined
    }
  }

  /** Runs outside of the chat's own work. */
  #later(ms: number): void {
    if (this.#told !== undefined) setTimeout(() => this.#check(), ms)
  }

  #check(): void {
    const told = this.#told
    const { id, status } = this.#chat
    const activity = this.#transport.activityOf(id)
    if (told === undefined || this.#isOver || !activity.isIdle) return
    if (status === 'submitted' || status === 'streaming') {
      this.#later(BUSY_MS)
      return
    }
    this.#told = undefined
    const isFirst = this.#isFirst
    this.#isFirst = false
    const { generation } = told
    // The answer is the chat's own, or one that it has followed; ids are in the order of the answers.
    if (generation === null || generation <= activity.generation) return
    activity.generation = generation
    const { question, previous } = this.#questionOf(told)
    const asked = question?.id ?? told.after
    let isWanted = false
    this.#update((messages) => {
      const at = messages.findIndex(({ id }) => id === asked)
      const isLast = at >= 0 && at === messages.length - 1
      // The page has answers that ended before it was loaded, unless it has only the question.
      isWanted = told.state === 'active' || !isFirst || isLast
      if (!isWanted) return messages
      if (question === undefined) return withoutOpenCalls(messages)
      const last = messages.findIndex(({ id }) => id === previous)
      const kept = at >= 0 ? messages.slice(0, at) : last >= 0 ? messages.slice(0, last + 1) : messages
      return withoutOpenCalls([...kept, question as Message])
    })
    if (!isWanted) return
    activity.after = asked ?? undefined
    // The chat reports this error itself.
    this.#chat.resumeStream().catch(() => {})
  }

  #questionOf({ after, messageId, question, previous }: Announcement): Partial<Asked> {
    if (question !== undefined) return { question, previous }
    const id = this.#asked?.question.id
    return id !== undefined && (id === after || id === messageId) ? (this.#asked as Asked) : {}
  }

  #update(change: (messages: Message[]) => Message[]): void {
    const chat = this.#chat
    if (chat.setMessages !== undefined) chat.setMessages(change)
    else {
      const changed = change(chat.messages)
      if (changed !== chat.messages) chat.messages = changed
    }
  }
}
