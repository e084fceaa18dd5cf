import { randomUUID } from 'node:crypto'
import { types } from 'node:util'
import { ignore } from '../util/deferred'
import { WholeText } from '../util/text'
import { Channels } from './channels'
import {
  chunkChannel,
  DONE_MESSAGE,
  DONE_VALUE,
  FAILED_MESSAGE,
  type Request,
  requestChannel,
  sentinelKey,
  stopKey,
  type Wire,
} from './protocol'
import { PushStream } from './push-stream'
import { pieces } from './text'
import type { MakeStream, Publisher } from './types'

/** The sentinel of a running stream is set again at this interval; if its process dies, it expires after the other time. */
const RENEW_MS = 20_000
const ALIVE_SECONDS = 60

export interface Relay extends Wire {
  ttlSeconds: number
}

/** One reader in another process. Its messages are sent one after the other, since a publisher may reorder concurrent ones. */
class Listener {
  readonly understandsFailures: boolean
  readonly #publisher: Publisher
  readonly #channel: string
  #sent: Promise<unknown> = Promise.resolve()
  #wasHeard = false
  /** Whether nobody listens there any more. */
  isGone = false

  constructor(publisher: Publisher, channel: string, understandsFailures: boolean) {
    this.#publisher = publisher
    this.#channel = channel
    this.understandsFailures = understandsFailures
  }

  send(message: string): Promise<unknown> {
    this.#sent = this.#sent.then(() => this.#publish(message))
    return this.#sent
  }

  async #publish(message: string): Promise<void> {
    if (this.isGone) return
    try {
      const count = await this.#publisher.publish(this.#channel, message)
      // In a cluster a server counts only its own subscribers: zero only means something if it was more before.
      if (count === 0 && this.#wasHeard) this.isGone = true
      if (typeof count === 'number' && count > 0) this.#wasHeard = true
    } catch {
      // The reader has a gap now; its watchdog will end it.
      this.isGone = true
    }
  }
}

/** A stream that this process makes: its text is kept here, and sent to readers that ask for it. */
export class Run {
  readonly #relay: Relay
  readonly #streamId: string
  readonly #id = randomUUID()
  readonly #abort = new AbortController()
  readonly #whole = new WholeText()
  #text = ''
  #listeners: Listener[] = []
  #end: { failure: unknown } | 'done' | undefined
  /** Whether another run has the stream now. */
  #isReplaced = false
  #reader: ReadableStreamDefaultReader<string> | undefined
  #leave: () => Promise<unknown> = async () => {}

  constructor(relay: Relay, streamId: string) {
    this.#relay = relay
    this.#streamId = streamId
  }

  /** Begins; resolves with the stream for the local client, or rejects with the error of `makeStream`. */
  async start(makeStream: MakeStream, settle: () => void): Promise<ReadableStream<string>> {
    const { publisher, subscriber, prefix } = this.#relay
    const channel = requestChannel(prefix, this.#streamId)
    try {
      // Subscribed first, so that requests of readers that see the sentinel arrive.
      this.#leave = await Channels.of(subscriber).listen(channel, this.#onRequest)
      await this.#mark('1', ALIVE_SECONDS)
      await publisher.publish(channel, JSON.stringify({ run: this.#id } satisfies Request))
      await this.#meetKeptStop()
      if (!this.#abort.signal.aborted) this.#reader = makeStream(this.#abort.signal).getReader()
    } catch (error) {
      this.#finish({ failure: error }).finally(settle)
      throw error
    }
    // The process' own timer, fake or not: a mark is kept for longer than tests take.
    const renewal = setInterval(() => this.#renew(), RENEW_MS).unref()
    const local = new PushStream()
    this.#copy(local)
      .catch(ignore)
      .finally(() => {
        clearInterval(renewal)
        settle()
      })
    return local.stream
  }

  /** Reads the source to its end, with or without listeners. */
  async #copy(local: PushStream): Promise<void> {
    try {
      while (this.#reader !== undefined && !this.#abort.signal.aborted) {
        const { done, value } = await this.#reader.read()
        if (done) break
        // The type does not allow bytes, but they are not dropped.
        await this.#add(this.#whole.push(types.isUint8Array(value) ? value : String(value)), local)
      }
      await this.#addRest(local)
    } catch (error) {
      await this.#addRest(local)
      const finished = this.#finish({ failure: error })
      local.fail(error)
      return finished
    }
    const finished = this.#finish('done')
    local.close()
    return finished
  }

  async #add(text: string, local: PushStream): Promise<void> {
    this.#text += text
    this.#listeners = this.#listeners.filter((listener) => !listener.isGone)
    local.write(text)
    await Promise.all(this.#listeners.map((listener) => listener.send(text)))
  }

  async #addRest(local: PushStream): Promise<void> {
    const rest = this.#whole.end()
    if (rest !== '') await this.#add(rest, local)
  }

  async #finish(end: { failure: unknown } | 'done'): Promise<void> {
    this.#end = end
    const tellAll = () =>
      Promise.all(this.#listeners.map((listener) => listener.send(this.#lastMessage(listener))))
    const marked = this.#isReplaced ? undefined : this.#mark(DONE_VALUE, this.#relay.ttlSeconds)
    await Promise.allSettled([marked, tellAll()])
    await this.#leave().catch(ignore)
  }

  #lastMessage({ understandsFailures }: Listener): string {
    if (this.#end === 'done' || !understandsFailures) return DONE_MESSAGE
    const failure = this.#end?.failure
    return FAILED_MESSAGE + (failure instanceof Error ? failure.message : String(failure))
  }

  readonly #onRequest = (message: string): void => {
    const { listenerId, skipCharacters, failures, run, stop } = parsed(message)
    if (run !== undefined) this.#isReplaced ||= run !== this.#id
    else if (stop !== undefined) this.#stop(stop)
    else if (listenerId !== undefined && !this.#isReplaced) {
      const channel = chunkChannel(this.#relay.prefix, listenerId)
      const listener = new Listener(this.#relay.publisher, channel, failures === true)
      // Always sends a message, even an empty one, to show that the producer is there.
      for (const piece of pieces(this.#text.slice(skipCharacters || 0))) listener.send(piece)
      if (this.#end === undefined) this.#listeners.push(listener)
      else listener.send(this.#lastMessage(listener))
    }
  }

  #stop(reason: string): void {
    this.#abort.abort(new DOMException(reason || 'The stream was stopped', 'AbortError'))
    this.#reader?.cancel().catch(ignore)
  }

  async #meetKeptStop(): Promise<void> {
    const { publisher, prefix } = this.#relay
    const key = stopKey(prefix, this.#streamId)
    const reason = await publisher.get(key)
    // A publisher cannot delete, so an empty text replaces it for a second.
    if (!reason) return
    await publisher.set(key, '', { EX: 1 })
    this.#stop(String(reason).slice(1))
  }

  #renew(): void {
    if (this.#end === undefined && !this.#isReplaced) this.#mark('1', ALIVE_SECONDS).catch(ignore)
  }

  async #mark(value: string, seconds: number): Promise<void> {
    await this.#relay.publisher.set(sentinelKey(this.#relay.prefix, this.#streamId), value, { EX: seconds })
  }
}

/** Messages of other programs are ignored. */
function parsed(message: string): Request {
  try {
    return (JSON.parse(message) as Request | null) ?? {}
  } catch {
    return {}
  }
}
