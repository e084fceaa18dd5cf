import { randomUUID } from 'node:crypto'
import type * as api from '../../index'
import { FailedError, InterruptedError } from '../errors/errors'
import { cursorAt } from '../util/cursor'
import type { MaybePromise } from '../util/deferred'
import type { AnswerMetadata } from './answer-start'
import { type Hook, Hooks } from './finish-hooks'

/** An answer that has ended, with any outcome. */
export interface FinishedAnswer {
  readonly chatId: string
  readonly streamId: string
  /** The answer's own id, a ULID: the key to save it under. */
  readonly generation: string
  readonly owner: string
  /** `'interrupted'`: the server that called the model was killed, or another answer took over. */
  readonly outcome: api.Outcome
  readonly reason: string | null
  /** The chunks of the answer, for `readUIMessageStream` of `ai`: read from the log, ending without an error. */
  chunks<Chunk = object>(): ReadableStream<Chunk>
}

export type OnFinish = (answer: FinishedAnswer) => MaybePromise<unknown>

/** All servers that have such a hook share the work. */
const GROUP = 'tidemark/next'

/**
 * Works at the queue of finished generations; starts when it is called, unless it is running. Passes ended answers to the newest
 * hook of the process.
 */
export function finisher(
  engine: api.Engine,
  deployment: string | undefined,
  onFinish: OnFinish,
  onError: (error: unknown) => unknown,
): () => void {
  const group = deployment === undefined ? GROUP : `${GROUP}/${deployment}`
  const { namespace = engine } = engine as { namespace?: unknown }
  const hooks = Hooks.of<FinishedAnswer>(namespace, group)

  async function work(signal: AbortSignal): Promise<void> {
    const consumer = randomUUID()
    for await (const item of engine.finished({ group, consumer, batch: 1, signal })) {
      try {
        const answer = await answerOf(engine, deployment, item)
        if (answer !== undefined) await hooks.tell(answer, hook)
        await item.ack()
      } catch (error) {
        // Not acknowledged, so it is delivered again.
        onError(error)
      }
    }
  }

  const hook: Hook<FinishedAnswer> = {
    tell: onFinish,
    work,
    isClosed: () => engine.state === 'closed',
    onError,
  }
  hooks.add(hook)
  return () => hooks.ask(hook)
}

/** Undefined: the stream is not a chat, is gone, or belongs to another deployment. */
async function answerOf(
  engine: api.Engine,
  own: string | undefined,
  { streamId, generation, outcome, reason }: api.FinishedGeneration,
): Promise<FinishedAnswer | undefined> {
  const status = await engine.status(streamId)
  const { chatId, messageId, deployment } = (status?.metadata ?? {}) as Partial<AnswerMetadata>
  const owner = status?.owner
  if (chatId === undefined || deployment !== own || !owner) return undefined
  // If there is a later generation, the stream only knows the owner of this one.
  const id = status?.generation === generation ? messageId : undefined
  const chunks = <Chunk>() =>
    chunksOf<Chunk>(engine.subscribe(streamId, { from: cursorAt(generation, 0), owner, wait: 0 }), id)
  return { chatId, streamId, generation, owner, outcome, reason, chunks }
}

function chunksOf<Chunk>(
  subscription: api.Subscription,
  messageId: string | undefined,
): ReadableStream<Chunk> {
  // The clients have named the message themselves.
  const named = (chunk: { type?: unknown; messageId?: unknown }) =>
    chunk.type === 'start' ? { messageId, ...chunk } : chunk
  const source = {
    async pull(controller: ReadableStreamDefaultController<Chunk>) {
      try {
        const { done, value } = await subscription.next()
        if (done) controller.close()
        else controller.enqueue(named(JSON.parse(String(value.data))) as Chunk)
      } catch (error) {
        // The outcome is known already; the chunks so far are kept.
        if (!(error instanceof FailedError || error instanceof InterruptedError)) throw error
        controller.close()
      }
    },
    async cancel() {
      await subscription.return()
    },
  }
  return new ReadableStream<Chunk>(source, { highWaterMark: 0 })
}
