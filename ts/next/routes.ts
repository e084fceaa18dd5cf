import { randomUUID } from 'node:crypto'
import type * as api from '../../index'
import { ClosedError, called, FencedError, InterruptedError, invalidArgument } from '../errors/errors'
import { wording as wordingOf, wordsOf } from '../errors/wording'
import { jsonOf, spared } from '../http/body'
import { callback, flag, integer, methods, object, required, text } from '../options/checks'
import { streamId as checkStreamId, maxDurationMs } from '../options/fields'
import { ignore, type MaybePromise } from '../util/deferred'
import { type ActiveStream, RememberedStreams } from './active-stream'
import { type Answer, encodeChunks } from './answer'
import { answerResponse } from './answer-response'
import { type AnswerMetadata, type AnswerOptions, answerFields, startAnswer } from './answer-start'
import { aiVersion, askedFor, beginning, messagesIn } from './continued'
import { finisher, type OnFinish } from './finish'
import { indexedResponse, indexIn, runIdOf, runOf } from './indexed'
import { forbidden, nothing, refusing, resumeResponse, stopResponse } from './responses'
import { MAX_WATCHED, type WatchedChat, watchResponse } from './watch'

const MIB = 1 << 20
const DEFAULT_BODY_BYTES = 16 * MIB

/**
 * What Next.js gives to a route handler beside the request: `params`, a record of text or a promise of one, so that other
 * frameworks' parameters fit in. Not said more exactly, since each version of Next.js checks route files against a type of
 * its own, and some take nothing but that.
 */
export interface RouteContext {
  // biome-ignore lint/suspicious/noExplicitAny: the one type that all of them take
  params: any
}

/** What `generate` is told. */
export interface GenerateInput<Message = unknown> {
  request: Request
  chatId: string
  /** What `authorize` said. */
  owner: string
  /**
   * As the client sent them, all or the last one (the body's `messages`, or `message`): for other people's clients,
   * `validateUIMessages` of `ai`.
   */
  messages: Message[]
  /** All of the request's JSON. */
  body: Readonly<Record<string, unknown>>
  /**
   * The id that the answer's message gets, in every client and every replay: that of the assistant's message that is
   * continued, or a new one. If the body has no messages, nobody is told it, since the client may be continuing one.
   */
  messageId: string
  /** Aborted when somebody presses Stop, on whichever server; never because a client has left. */
  signal: AbortSignal
}

/** What `lastMessage` is told. */
export type LastMessageInput<Message = unknown> = Omit<GenerateInput<Message>, 'messageId' | 'signal'>

export interface ChatRoutesOptions<Message = unknown> extends Omit<AnswerOptions, 'owner'> {
  engine: api.Engine
  /**
   * The user whose chat this is, once you have made sure that it is theirs. Nothing: the answer is 403. A `Response` is
   * sent as it is.
   */
  authorize(request: Request, chatId: string): MaybePromise<string | Response | null | undefined>
  /** Calls the model: once for each answer, and to its end, whatever becomes of the client. */
  generate(input: GenerateInput<Message>): MaybePromise<Answer>
  /**
   * The message that is answered, or, if it is the assistant's, continued. Default: the last of the body's `messages`, or its
   * `message`, which is what the client says. For other bodies, and to take a continued message from a database of yours.
   */
  lastMessage?: ((input: LastMessageInput<Message>) => MaybePromise<Message | null | undefined>) | undefined
  /**
   * The version of `ai` in the browser. Only the stream of version 7 can tell what was said to a tool's approval, so that a
   * continued message has it after a reload too. Default: 7 if `generate` returns what `streamText` of version 7 does.
   */
  aiVersion?: 5 | 6 | 7 | undefined
  /**
   * For applications that keep in their database which stream holds a chat's current answer. All answers of a chat and owner
   * get the same id, a UUID. Default: the chat's own id.
   */
  activeStream?: ActiveStream | undefined
  /** The largest body of a `POST`, in bytes; more is 413. 1 to 134,217,728, default 16,777,216. */
  maxBodyBytes?: number | undefined
  /**
   * Called when an answer has ended, by any server that has these routes and has been asked for one of them: also when the
   * one that called the model was killed. Once, and again a minute later, up to 5 times, if it throws or its server dies
   * meanwhile. One hook for all routes of a `keyPrefix` and `deployment`: within a process, that of the newest routes.
   */
  onFinish?: OnFinish | undefined
  /**
   * Tells apart what shares a store and a `keyPrefix` and has hooks of its own, such as production and preview: `onFinish` is
   * called for the answers of its own deployment, on any of its servers. A few names, not one for each build. 1–200 bytes.
   */
  deployment?: string | undefined
  /**
   * Breaks the responses of `POST` and `GET` after so long, for hosts that would do so anyway; the client is to resume. The answer
   * goes on. 1 ms to 1 day, default never.
   */
  maxDurationMs?: number | undefined
  /**
   * Serves `WorkflowChatTransport` of `@ai-sdk/workflow`, too, without its runtime: `POST` names the answer in `x-workflow-run-id`,
   * and `GET` takes that name as `params.id`. Of a continued message the response waits for `generate`. Default `false`.
   */
  workflowRuns?: boolean | undefined
  /**
   * What clients are told, now and later, of an error of `generate` and of the stream that it returns: asked once for each.
   * Is also told, and its answer ignored, of errors that only you need to know of: the store's, and those of `onFinish`.
   * Default: logs the error, and says no more than that there was one.
   */
  onError?: ((error: unknown) => string) | undefined
}

/** Each takes a web `Request` and gives a `Response`, so they fit other frameworks too. */
export interface ChatRoutes {
  /**
   * Answers the chat named by `params.id`, or else by the body's `id`. 409: it is being answered already, and nobody has stopped
   * that; the end of a stopped answer is waited for. 413: the body is larger than `maxBodyBytes`, or holds more than a million
   * values. With `params.id` nothing of the body is read before `authorize` has let the request in.
   */
  // biome-ignore lint/suspicious/noExplicitAny: see `RouteContext`; here it may be left out, which Next.js 15 has no type for
  POST(request: Request, context?: any): Promise<Response>
  /**
   * The current answer, from its beginning to its end; 204 when there is none. With `?watch` instead, until the client leaves,
   * when an answer begins; `?watch=<id>`, up to 32 times, tells of these chats, too. With `?startIndex=N` from chunk N on, from 0, or
   * from the end if it is negative: each chunk as it was written, and always a `finish` at the end; nothing but that if there is no answer.
   */
  GET(request: Request, context: RouteContext): Promise<Response>
  /** Stops the current answer, wherever the model is called. */
  DELETE(request: Request, context: RouteContext): Promise<Response>
}

const checkRoutes = object({
  ...answerFields,
  engine: methods('an engine', 'pipe', 'respond', 'status', 'stop'),
  authorize: callback,
  generate: callback,
  lastMessage: callback,
  aiVersion,
  activeStream: methods('{ get, set }', 'get', 'set'),
  maxBodyBytes: integer(1, 128 * MIB, 'bytes'),
  deployment: text(1, 200),
  maxDurationMs,
  workflowRuns: flag,
  onError: callback<unknown>,
  onFinish: callback,
})

/**
 * The route handlers of a chat.
 *
 * ```ts
 * const { POST, GET, DELETE } = chatRoutes({
 *   engine,
 *   authorize: async (request, chatId) => userWhoOwns(chatId, await session(request)),
 *   generate: async ({ messages, signal }) =>
 *     streamText({ model, messages: await convertToModelMessages(messages), abortSignal: signal }),
 * })
 * ```
 */
// `chatRoutes` is long, since its three handlers share what it was given.
export function chatRoutes<Message = unknown>(options: ChatRoutesOptions<Message>): ChatRoutes {
  called(chatRoutes, () =>
    required(checkRoutes(options, 'options'), 'options', 'engine', 'authorize', 'generate'),
  )
  const { engine, authorize, generate, activeStream, onError, onFinish, maxBodyBytes, ...others } = options
  const {
    lastMessage,
    aiVersion: version,
    deployment,
    maxDurationMs: longest,
    workflowRuns,
    ...rest
  } = others
  const streams = activeStream && new RememberedStreams(engine, activeStream)
  const finish = onFinish && finisher(engine, deployment, onFinish, (error) => wordsOf(error, onError))

  async function admitted(
    request: Request,
    chatId: string,
    serve: (owner: string) => Promise<Response>,
  ): Promise<Response> {
    finish?.()
    const owner = await spared(request, () => authorize(request, chatId))
    if (owner instanceof Response) return owner
    return typeof owner === 'string' && owner !== '' ? serve(owner) : forbidden()
  }

  async function answer(given: Omit<GenerateInput<Message>, 'signal' | 'messages' | 'messageId'>) {
    const { chatId, owner, body } = given
    const messages = messagesIn(body) as Message[]
    const asked = askedFor(
      lastMessage === undefined ? messages : [await lastMessage({ ...given, messages })],
      body,
    )
    const messageId = asked.continued?.id ?? randomUUID()
    const streamId = streams === undefined ? chatId : await streams.next(chatId, owner)
    const wording = wordingOf(onError)
    const open = (signal: AbortSignal) => generate({ ...given, messages, messageId, signal })
    const { metadata, prelude } = await beginning(engine, streamId, owner, asked, version)
    const encode = encodeChunks(asked.continued || asked.isNew ? messageId : undefined)
    const starting = startAnswer(engine, streamId, open, encode, {
      ...rest,
      owner,
      metadata: { chatId, messageId, deployment, ...metadata } satisfies AnswerMetadata,
      prelude,
      wording,
      afterwards: () => remembering.then(() => streams?.ended(chatId, streamId)).catch(wording),
    })
    // An answer that cannot be found again is one all the same.
    const remembering = starting.then(() => streams?.begun(chatId, streamId).catch(wording), ignore)
    const started = await starting
    await remembering
    started.done.catch((error) => isInterruption(error) || wording(error))
    const response = answerResponse(started, wording, longest)
    if (workflowRuns) {
      const { generation = NO_GENERATION, hidden } = (await started.place?.()) ?? { hidden: 0 }
      response.headers.set('x-workflow-run-id', runIdOf({ chatId, generation, hidden }))
    }
    return response
  }

  /** Those of the chats that are this user's; refused if none is. */
  async function watch(request: Request, ids: readonly string[]): Promise<Response> {
    const chatIds = [...new Set(ids.map((id) => checkStreamId(id, 'watch')))]
    if (chatIds.length > MAX_WATCHED) throw invalidArgument('watch', `must name at most ${MAX_WATCHED} chats`)
    const chats: WatchedChat[] = []
    let refused = forbidden()
    for (const chatId of chatIds) {
      const response = await admitted(request, chatId, async (owner) => {
        const streamId = streams === undefined ? chatId : await streams.next(chatId, owner)
        chats.push({ chatId, streamId, owner })
        return nothing()
      })
      if (!response.ok) refused = response
    }
    if (chats.length === 0) return refused
    return watchResponse(engine, chats, { signal: request.signal, onError, maxDurationMs: longest })
  }

  const bodyOf = async (request: Request) =>
    (await jsonOf(request, maxBodyBytes ?? DEFAULT_BODY_BYTES, 'a JSON object')) as Record<string, unknown>

  return {
    POST: (request, context) =>
      refusing(async () => {
        const named = await paramOf(context)
        // Where the body has the chat's id, there is nothing to ask about before it has been read.
        const early = named === undefined ? await bodyOf(request) : undefined
        const chatId = named ?? checkStreamId(early?.id, 'body.id')
        return admitted(request, chatId, async (owner) =>
          answer({ request, chatId, owner, body: early ?? (await bodyOf(request)) }),
        )
      }, onError),
    GET: (request, context) =>
      refusing(async () => {
        const id = await paramOf(context)
        const startIndex = indexIn(request, 'startIndex')
        const index = startIndex ?? indexIn(request, 'sequence')
        const run = index === undefined || id === undefined ? undefined : runOf(id)
        const chatId = checkStreamId(run?.chatId ?? id, 'params.id')
        const watched = new URL(request.url).searchParams.getAll('watch')
        if (watched.length > 0) return watch(request, [chatId, ...watched.filter((id) => id !== '')])
        return admitted(request, chatId, async (owner) => {
          const found = streams === undefined ? chatId : await streams.current(chatId)
          const streamId = found ?? (run && (await streams?.next(chatId, owner)))
          if (streamId !== undefined && run !== undefined && index !== undefined) {
            const { signal } = request
            const needsFinish = startIndex !== undefined
            const after = new URL(request.url).searchParams.get('after')
            const options = { owner, after, onError, maxDurationMs: longest, signal, needsFinish }
            return indexedResponse(engine, streamId, run, index, options)
          }
          return streamId === undefined
            ? nothing()
            : resumeResponse(engine, request, streamId, { owner, onError, maxDurationMs: longest })
        })
      }, onError),
    DELETE: (request, context) =>
      refusing(async () => {
        const chatId = checkStreamId(await paramOf(context), 'params.id')
        return admitted(request, chatId, async (owner) => {
          const streamId = streams === undefined ? chatId : await streams.stoppable(chatId, owner)
          return streamId === undefined
            ? Response.json({ result: 'ended' })
            : stopResponse(engine, streamId, { owner, onError })
        })
      }, onError),
  }
}

/** Of an answer that is in no store. */
const NO_GENERATION = '0'.repeat(26)

async function paramOf(context: Partial<RouteContext> | undefined): Promise<string | undefined> {
  const id: unknown = (await context?.params)?.id
  return id === undefined ? undefined : checkStreamId(id, 'params.id')
}

/** Ends that readers are told of as such, and that are nobody's failure. */
function isInterruption(error: unknown): boolean {
  return error instanceof FencedError || error instanceof InterruptedError || error instanceof ClosedError
}
