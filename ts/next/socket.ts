/** The server's side of the AI SDK's `WebSocketChatTransport`: any number of a chat's requests and answers on one socket. */
import { called } from '../errors/errors'
import { addressOf } from '../http/address'
import { checkWeight, TooLargeError } from '../http/body'
import { flag, integer, listOf, methods, object, callback as one, text } from '../options/checks'
import { ignore, type MaybePromise } from '../util/deferred'
import { EventParser } from '../util/sse-parser'
import { setTimeout } from '../util/timers'
import type { ChatRoutes } from './routes'
import {
  type ChatFrame,
  chunkFrame,
  endFrame,
  errorFrame,
  noActiveFrame,
  parseFrame,
  type ResumeFrame,
  type SendFrame,
  startFrame,
} from './socket-frames'
import { type Opened, questionOf, resumptionOf, stopOf, type UpgradeRequest } from './socket-request'

export type { UpgradeRequest } from './socket-request'

/** A socket of `ws`, or one with its methods. */
export interface ServerSocket {
  readonly readyState: number
  /** Bytes that were given to `send` and have not left. */
  readonly bufferedAmount: number
  send(text: string): void
  close(code: number, reason: string): void
  // biome-ignore lint/suspicious/noExplicitAny: the events of `ws` have listeners of several types
  on(event: 'message' | 'close' | 'error', listener: (...args: any[]) => void): unknown
}

/** What `safeValidateWebSocketChatTransportRequest` of `ai` 7 does. */
export type ValidateFrame = (options: { value: unknown }) => MaybePromise<{ success: boolean }>

export interface ChatSocketOptions {
  /**
   * Checks each frame before it is handled: `safeValidateWebSocketChatTransportRequest` of `ai` 7, which also checks the
   * messages. Default: only the frame's own fields are checked.
   */
  validate?: ValidateFrame | undefined
  /**
   * Whether an `abort` stops the answer, as `DELETE` does. The transport sends one for Stop, and also when a page's component is unmounted:
   * with `true` an answer does not survive that. Default `false`: the answer continues, and Stop is a `DELETE` of your own.
   */
  stopOnAbort?: boolean | undefined
  /**
   * Other origins whose pages may open sockets, such as `'https://app.example.com'`; browsers do not ask the server first. Default: only
   * pages of the host itself.
   */
  origins?: string[] | undefined
  /** The longest frame of a client, in bytes: a longer one closes the socket (1009). 1 to 134,217,728, default 16,777,216. */
  maxFrameBytes?: number | undefined
  /** How many requests a socket may have under way: one more is answered with an error. 1 to 10,000, default 64. */
  maxRequests?: number | undefined
  /** An answer pauses while this many bytes wait for the client. 1 to 134,217,728, default 262,144. */
  maxBufferedBytes?: number | undefined
}

const MIB = 1 << 20
const OPEN = 1
/** How often a socket is checked whose client does not read. */
const LOOK_MS = 10

/** Close codes of RFC 6455 and of its registry. */
const UNSUPPORTED = 1003
const REFUSED = 1008
const TOO_BIG = 1009
const RESTART = 1012

const fields = {
  validate: one<{ value: unknown }>,
  stopOnAbort: flag,
  origins: listOf(text(1, 1024)),
  maxFrameBytes: integer(1, 128 * MIB, 'bytes'),
  maxRequests: integer(1, 10_000, 'requests'),
  maxBufferedBytes: integer(1, 128 * MIB, 'bytes'),
}

/**
 * Serves the routes of a chat to `WebSocketChatTransport`. `authorize` is asked for each frame, with a request that has the socket's
 * cookies and address, and the frame's headers. A client that disconnects stops nothing.
 *
 * ```ts
 * const serve = chatSocket(routes, { validate: safeValidateWebSocketChatTransportRequest })
 * new WebSocketServer({ server, path: '/api/chat' }).on('connection', serve)
 * ```
 */
export function chatSocket(
  routes: ChatRoutes,
  options?: ChatSocketOptions,
): (socket: ServerSocket, request: UpgradeRequest) => void {
  const settings = called(chatSocket, () => {
    methods('what chatRoutes returns', 'POST', 'GET', 'DELETE')(routes, 'routes')
    return object(fields)(options, 'options') as ChatSocketOptions
  })
  return (socket, request) => {
    const { headers } = request
    const address = addressOf(headers, request.url)
    if (address !== undefined && isFrom({ address, headers }, settings.origins)) {
      new Connection(socket, { address, headers }, routes, settings)
    } else socket.close(REFUSED, 'This origin may not open a socket here')
  }
}

/** Browsers send the origin of their page; others have none. */
function isFrom({ address, headers: { origin } }: Opened, origins: readonly string[] = []): boolean {
  if (origin === undefined || origins.includes(origin)) return true
  return URL.canParse(origin) && new URL(origin).host === address.host
}

/** A request under way. */
interface Asked {
  readonly frame: SendFrame | ResumeFrame
  readonly left: AbortController
}

class Connection {
  readonly #socket: ServerSocket
  readonly #opened: Opened
  readonly #routes: ChatRoutes
  readonly #settings: ChatSocketOptions
  readonly #asked = new Map<string, Asked>()

  constructor(socket: ServerSocket, opened: Opened, routes: ChatRoutes, settings: ChatSocketOptions) {
    this.#socket = socket
    this.#opened = opened
    this.#routes = routes
    this.#settings = settings
    socket.on('message', (data: unknown, isBinary?: boolean) => void this.#hear(data, isBinary))
    socket.on('close', () => this.#leave())
    // A close follows.
    socket.on('error', ignore)
  }

  async #hear(data: unknown, isBinary = false): Promise<void> {
    if (this.#socket.readyState !== OPEN) return
    if (isBinary) return this.#socket.close(UNSUPPORTED, 'Frames are text')
    const frameText = String(data)
    const longest = this.#settings.maxFrameBytes ?? 16 * MIB
    if (frameText.length > longest || Buffer.byteLength(frameText) > longest) {
      return this.#socket.close(TOO_BIG, `Frames have at most ${longest} bytes`)
    }
    let frame: ChatFrame
    try {
      checkWeight(frameText)
      frame = parseFrame(frameText)
    } catch (error) {
      if (error instanceof TooLargeError)
        return this.#socket.close(TOO_BIG, 'Frames have at most a million values')
      return this.#socket.close(REFUSED, 'Invalid frame')
    }
    if (frame.type === 'abort') return this.#abort(frame.requestId)
    const { requestId } = frame
    if (this.#asked.has(requestId)) return this.#socket.close(REFUSED, 'This requestId is in use')
    if (this.#asked.size >= (this.#settings.maxRequests ?? 64)) {
      return this.#send(errorFrame(requestId, 'There are too many requests at once.'))
    }
    const asked = { frame, left: new AbortController() }
    // An abort may follow while the frame is being looked at.
    this.#asked.set(requestId, asked)
    try {
      if (await this.#isValid(frame)) await this.#answer(asked)
      else this.#socket.close(REFUSED, 'Invalid frame')
    } catch (error) {
      // The routes turn errors into responses: this is a defect in them or in `validate`.
      console.error(error)
      if (!asked.left.signal.aborted) this.#send(errorFrame(requestId, 'An error occurred.'))
    } finally {
      if (this.#asked.get(requestId) === asked) this.#asked.delete(requestId)
    }
  }

  async #isValid(frame: ChatFrame): Promise<boolean> {
    const { validate } = this.#settings
    return validate === undefined || (await validate({ value: frame })).success === true
  }

  async #answer({ frame, left }: Asked): Promise<void> {
    const { requestId } = frame
    const { signal } = left
    const context = { params: { id: frame.id } }
    if (signal.aborted) return
    const response = await (frame.type === 'send'
      ? this.#routes.POST(questionOf(this.#opened, frame, signal), context)
      : this.#routes.GET(resumptionOf(this.#opened, frame, signal), context))
    if (response.status === 204) return this.#send(noActiveFrame(requestId))
    if (!response.ok || response.body === null) {
      const told = await wordsIn(response)
      return signal.aborted ? undefined : this.#send(errorFrame(requestId, told))
    }
    if (frame.type === 'resume' && !signal.aborted) this.#send(startFrame(requestId))
    const first = frame.type === 'send' ? 0 : (frame.lastSequence ?? -1) + 1
    const isWhole = await this.#copy(requestId, response.body, first, signal)
    if (signal.aborted) return
    if (isWhole) this.#send(endFrame(requestId))
    // The answer continues elsewhere: the client would take an `end` or `error` frame for the answer's own.
    else this.#socket.close(RESTART, 'The server restarts')
  }

  /** Sends the chunks of an answer. Resolves to whether it came to its end. */
  async #copy(
    requestId: string,
    body: ReadableStream<Uint8Array>,
    first: number,
    signal: AbortSignal,
  ): Promise<boolean> {
    const reader = body.getReader()
    const leave = () => void reader.cancel().catch(ignore)
    signal.addEventListener('abort', leave)
    if (signal.aborted) leave()
    const parser = new EventParser()
    let sequence = first
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done || signal.aborted) return false
        for (const { data } of parser.push(value)) {
          if (data === '[DONE]') return true
          await this.#room()
          if (signal.aborted) return false
          this.#send(chunkFrame(requestId, sequence++, data))
        }
      }
    } catch {
      return false
    } finally {
      signal.removeEventListener('abort', leave)
      leave()
    }
  }

  /** Waits until the client has read enough. */
  async #room(): Promise<void> {
    const most = this.#settings.maxBufferedBytes ?? MIB / 4
    while (this.#socket.readyState === OPEN && this.#socket.bufferedAmount > most) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    }
  }

  #send(text: string): void {
    if (this.#socket.readyState === OPEN) this.#socket.send(text)
  }

  #abort(requestId: string): void {
    const asked = this.#asked.get(requestId)
    if (asked === undefined) return
    this.#asked.delete(requestId)
    asked.left.abort()
    if (this.#settings.stopOnAbort) this.#stop(asked.frame).catch(console.error)
  }

  async #stop(frame: SendFrame | ResumeFrame): Promise<void> {
    await this.#routes.DELETE(stopOf(this.#opened, frame), { params: { id: frame.id } })
  }

  #leave(): void {
    for (const { left } of this.#asked.values()) left.abort()
    this.#asked.clear()
  }
}

/** The message of a refusal, for users to read: the routes' own messages are meant for them. */
async function wordsIn(response: Response): Promise<string> {
  const text = await response.text().catch(() => '')
  try {
    const { message } = JSON.parse(text) as { message?: unknown }
    if (typeof message === 'string') return message
  } catch {
    // It is the application's own.
  }
  return text === '' ? `The server answered with ${response.status}.` : text.slice(0, 1024)
}
