import { randomUUID } from 'node:crypto'
import type * as api from '../../index'
import { ClosedError, called, FencedError, InterruptedError, invalidArgument } from '../errors/errors'
import { wording as wordingOf, wordsOf } from '../errors/wording'
import { jsonOf, spared } from '../http/body'
import { holding } from '../http/holding'
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
 * The second argument of a Next.js route handler: `params`, a record of text or a promise of one, so that parameters of other
 * frameworks fit too. The type is not more exact because each version of Next.js checks route files against its own type,
 * and some accept only that one.
 */
export interface RouteContext {
  // biome-ignore lint/suspicious/noExplicitAny: the one type that all of them take
  params: any
}

/** The argument of `generate`. */
export interface GenerateInput<Message = unknown> {
  request: Request
  chatId: string
  /** The result of `authorize`. */
  owner: string
  /**
   * The messages as the client sent them, all or the last one (the body's `messages`, or `message`). Check those of clients that you
   * do not trust with `validateUIMessages` of `ai`.
   */
  messages: Message[]
  /** All of the request's JSON. */
  body: Readonly<Record<string, unknown>>
  /**
   * The id of the answer's message in every client and every replay: that of the continued assistant's message, or a new one.
   * If the body has no messages, the id is not sent, since the client may be continuing a message.
   */
  messageId: string
  /** Aborted by a stop on any server; never because a client has disconnected. */
  signal: AbortSignal
}

/** The argument of `lastMessage`. */
export type LastMessageInput<Message = unknown> = Omit<GenerateInput<Message>, 'messageId' | 'signal'>

export interface ChatRoutesOptions<Message = unknown> extends Omit<AnswerOptions, 'owner'> {
  engine: api.Engine
  /**
   * Returns the user who owns the chat, after you have checked that they do. If it returns nothing, the answer is 403. A `Response` is
   * sent unchanged.
   */
  authorize(request: Request, chatId: string): MaybePromise<string | Response | null | undefined>
  /** Calls the model: once for each answer, which is read to its end even if the client disconnects. */
  generate(input: GenerateInput<Message>): MaybePromise<Answer>
  /**
   * Returns the message that is answered or, if it is the assistant's, continued. Default: the last of the body's `messages`, or its
   * `message`, as the client sent it. Use this for other bodies, and to take a continued message from your database.
   */
  lastMessage?: ((input: LastMessageInput<Message>) => MaybePromise<Message | null | undefined>) | undefined
  /**
   * The version of `ai` in the browser. Only the stream of version 7 can carry the answer to a tool's approval, so that a
   * continued message has it after a reload too. Default: 7 if `generate` returns the result of version 7's `streamText`.
   */
  aiVersion?: 5 | 6 | 7 | undefined
  /**
   * For applications whose database stores which stream holds a chat's current answer. All answers of a chat and owner
   * get the same stream id, a UUID. Default: the chat's own id.
   */
  activeStream?: ActiveStream | undefined
  /** The largest body of a `POST`, in bytes; a larger one gets 413. 1 to 134,217,728, default 16,777,216. */
  maxBodyBytes?: number | undefined
  /**
   * Called when an answer has ended, by any server that has these routes and has had a request for one of them, even if the
   * server that called the model was killed. Called once; if it throws or its server dies meanwhile, again a minute later, up to 5
   * times. All routes of a `keyPrefix` and `deployment` have one hook: within a process, that of the newest routes.
   */
  onFinish?: OnFinish | undefined
  /**
   * Separates deployments that share a store and a `keyPrefix` but have their own hooks, such as production and preview: `onFinish` is
   * called for the answers of its own deployment, on any of its servers. Use a few names, not one for each build. 1–200 bytes.
   */
  deployment?: string | undefined
  /**
   * Breaks off responses of `POST` and `GET` after this time, for hosts that would do so anyway; the client should resume. The answer
   * continues. 1 ms to 1 day, default never.
   */
  maxDurationMs?: number | undefined
  /**
   * Serves `WorkflowChatTransport` of `@ai-sdk/workflow`, too, without its runtime: `POST` names the answer in `x-workflow-run-id`,
   * and `GET` takes that name as `params.id`. Of a continued message the response waits for `generate`. Default `false`.
   */
  workflowRuns?: boolean | undefined
  /**
   * Returns the text that clients get, now and later, for an error of `generate` or of the stream that it returns; called once for
   * each error. Also called, with its result ignored, for errors that only you need to know: those of the store and of `onFinish`.
   * Default: logs the error, and clients learn only that there was one.
   */
  onError?: ((error: unknown) => string) | undefined
}

/** Each takes a web `Request` and returns a `Response`, so they fit other frameworks too. */
export interface ChatRoutes {
  /**
   * Answers the chat named by `params.id`, or else by the body's `id`. 409: the chat is being answered, and that answer was not
   * stopped; a stopped answer's end is awaited. 413: the body is larger than `maxBodyBytes`, or has more than a million
   * values. With `params.id`, the body is not read before `authorize` has accepted the request.
   */
  // biome-ignore lint/suspicious/noExplicitAny: see `RouteContext`; here it may be left out, which Next.js 15 has no type for
  POST(request: Request, context?: any): Promise<Response>
  /**
   * Sends the current answer, from its beginning to its end; 204 when there is none. With `?watch`, announces instead when an answer
   * begins, until the client disconnects; with `?watch=<id>`, up to 32 times, those of these chats too. With `?startIndex=N` from
   * chunk N on, from 0, or from the end if it is negative: each chunk as it was written, and always a `finish` at the end; nothing but that
   * if there is no answer.
   */
  GET(request: Request, context: RouteContext): Promise<Response>
  /** Stops the current answer, wherever the model is called; with `?generation=`, none that is later than that. */
  DELETE(request: Request, context: RouteContext): Promise<Response>
}

function notAnOwner(given: unknown): Error {
  const field = 'the result of authorize'
  return invalidArgument(field, `must be the owner's id, a Response, or nothing for 403, got ${typeof given}`)
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
// `chatRoutes` is long, since its three handlers share its arguments.
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
    if (typeof owner === 'string' && owner !== '') return serve(owner)
    // Without a word, this mistake would look like a user who may not see the chat.
    if (owner) wordsOf(notAnOwner(owner), onError)
    return forbidden()
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
    // The answer is sent even if the application could not store its id.
    const remembering = starting.then(() => streams?.begun(chatId, streamId).catch(wording), ignore)
    const started = await starting
    await remembering
    started.done.catch((error) => isInterruption(error) || wording(error))
    const response = answerResponse(started, wording, longest)
    if (workflowRuns) {
      const { generation = NO_GENERATION, hidden } = (await started.position?.()) ?? { hidden: 0 }
      response.headers.set('x-workflow-run-id', runIdOf({ chatId, generation, hidden }))
    }
    return response
  }

  /** Those of the chats that belong to this user; refused if none does. */
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

  const handling = (request: Request, serve: () => Promise<Response>) =>
    refusing(async () => holding(request, await serve()), onError)

  const bodyOf = async (request: Request) =>
    (await jsonOf(request, maxBodyBytes ?? DEFAULT_BODY_BYTES, 'a JSON object')) as Record<string, unknown>

  return {
    POST: (request, context) =>
      handling(request, async () => {
        const named = await paramOf(context)
        // If the body has the chat's id, `authorize` can only be called after reading it.
        const early = named === undefined ? await bodyOf(request) : undefined
        const chatId = named ?? checkStreamId(early?.id, 'body.id')
        return admitted(request, chatId, async (owner) =>
          answer({ request, chatId, owner, body: early ?? (await bodyOf(request)) }),
        )
      }),
    GET: (request, context) =>
      handling(request, async () => {
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
      }),
    DELETE: (request, context) =>
      handling(request, async () => {
        const chatId = checkStreamId(await paramOf(context), 'params.id')
        return admitted(request, chatId, async (owner) => {
          const streamId = streams === undefined ? chatId : await streams.stoppable(chatId, owner)
          const generation = new URL(request.url).searchParams.get('generation')
          return streamId === undefined
            ? Response.json({ result: 'ended' })
            : stopResponse(engine, streamId, { owner, onError, generation })
        })
      }),
  }
}

/** Of an answer that is in no store. */
const NO_GENERATION = '0'.repeat(26)

async function paramOf(context: Partial<RouteContext> | undefined): Promise<string | undefined> {
  const id: unknown = (await context?.params)?.id
  return id === undefined ? undefined : checkStreamId(id, 'params.id')
}

/** Errors that readers get as ends of the stream, and that are not failures. */
function isInterruption(error: unknown): boolean {
  return error instanceof FencedError || error instanceof InterruptedError || error instanceof ClosedError
}
