import { invalidArgument } from '../errors/errors'
import { integer } from '../options/checks'
import { deferred } from '../util/deferred'
import { adapted } from './channels'
import { DONE_VALUE, type Request, requestChannel, sentinelKey, stopKey } from './protocol'
import { Resumption } from './resumption'
import { type Relay, Run } from './run'
import { unitsToSkip } from './text'
import type {
  CreateResumableStreamContextOptions,
  Publisher,
  ResumeContext,
  Subscriber,
  TidemarkStreamContext,
} from './types'

const WATCHDOG_MS = 10_000

export const DEFAULT_KEY_PREFIX = 'resumable-stream'
export const DEFAULT_TTL_SECONDS = 86_400

export const checkTtlSeconds = integer(1, 365 * 86_400, 'seconds')

/** A context that sends streams through the caller's clients, in the original's protocol. */
export function relayContext(options: CreateResumableStreamContextOptions): TidemarkStreamContext {
  const relay: Relay = {
    ...clientsOf(options),
    prefix: `${options.keyPrefix || DEFAULT_KEY_PREFIX}:rs`,
    ttlSeconds: checkTtlSeconds(options.ttlSeconds ?? DEFAULT_TTL_SECONDS, 'options.ttlSeconds'),
  }
  if (options.replayAfterDone) {
    throw invalidArgument(
      'options.replayAfterDone',
      'needs a Redis that Tidemark connects to, not clients to relay by',
    )
  }
  const { publisher, prefix } = relay
  const watchdogMs = options.doneWatchdogIntervalMs ?? WATCHDOG_MS
  const state = (streamId: string) => publisher.get(sentinelKey(prefix, streamId))

  const create: TidemarkStreamContext['createNewResumableStream'] = (streamId, makeStream) => {
    const { promise, resolve } = deferred<void>()
    options.waitUntil?.(promise)
    return new Run(relay, streamId).start(makeStream, resolve)
  }
  const resume = (streamId: string, skip: number) => new Resumption(relay, streamId, watchdogMs).start(skip)

  return {
    async resumableStream(streamId, makeStream, skipCharacters) {
      const skip = unitsToSkip(skipCharacters)
      const count = await countOrDone(publisher, sentinelKey(prefix, streamId))
      if (count === DONE_VALUE) return null
      return count > 1 ? resume(streamId, skip) : create(streamId, makeStream)
    },

    async createNewResumableStream(streamId, makeStream) {
      return create(streamId, makeStream)
    },

    async resumeExistingStream(streamId, skipCharacters) {
      const skip = unitsToSkip(skipCharacters)
      const sentinel = await state(streamId)
      if (!sentinel) return undefined
      return sentinel === DONE_VALUE ? null : resume(streamId, skip)
    },

    async hasExistingStream(streamId) {
      const sentinel = await state(streamId)
      if (sentinel === null) return null
      return sentinel === DONE_VALUE ? DONE_VALUE : true
    },

    async stop(streamId, reason = '') {
      const sentinel = await state(streamId)
      if (sentinel === DONE_VALUE) return 'ended'
      if (!sentinel) {
        await publisher.set(stopKey(prefix, streamId), `!${reason}`, { EX: relay.ttlSeconds })
        return 'kept'
      }
      await publisher.publish(
        requestChannel(prefix, streamId),
        JSON.stringify({ stop: reason } satisfies Request),
      )
      return 'stopping'
    },
  }
}

/** `resumeStream` through the context's own clients. */
export async function resumeRelayed(
  ctx: ResumeContext,
  streamId: string,
  skipCharacters?: number,
): Promise<ReadableStream<string> | null> {
  const relay = { ...clientsOf(ctx), prefix: ctx.keyPrefix }
  const resumption = new Resumption(relay, streamId, ctx.doneWatchdogIntervalMs ?? WATCHDOG_MS)
  return resumption.start(unitsToSkip(skipCharacters))
}

/** Programs look for these texts. */
function clientsOf({ publisher, subscriber }: Partial<CreateResumableStreamContextOptions>) {
  for (const [name, client] of Object.entries({ subscriber, publisher })) {
    if (typeof client === 'object' || typeof client === 'function') continue
    // The value may be a URL with a password.
    if (client) throw invalidArgument(`options.${name}`, 'must be a client')
    throw new Error(
      `Generic mode requires a ${name} to be provided. ` +
        `Please pass a ${name} option to createResumableStreamContext.`,
    )
  }
  return {
    publisher: adapted<Publisher>(publisher as Publisher),
    subscriber: adapted<Subscriber>(subscriber as Subscriber),
  }
}

async function countOrDone(publisher: Publisher, key: string): Promise<number | typeof DONE_VALUE> {
  try {
    return await publisher.incr(key)
  } catch (error) {
    if (String(error).includes('ERR value is not an integer or out of range')) return DONE_VALUE
    throw error
  }
}
