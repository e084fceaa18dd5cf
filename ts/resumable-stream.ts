/**
 * A drop-in for npm `resumable-stream` 2.2: the same calls, kept by Tidemark. `tidemark/resumable-stream/redis` and
 * `…/ioredis` are this module; `…/generic` speaks the original's protocol through clients of your own.
 *
 * @packageDocumentation
 */

import type { Engine } from '../index'
import { createEngine } from './core/engine'
import { numberOf } from './options/credentials'
import { urlFrom } from './options/options'
import { type Target, targetOf } from './resumable-stream/clients'
import { durableContext, nameOf, resumeDurable } from './resumable-stream/durable'
import { NO_ANSWER } from './resumable-stream/protocol'
import {
  checkTtlSeconds,
  DEFAULT_KEY_PREFIX,
  DEFAULT_TTL_SECONDS,
  relayContext,
  resumeRelayed,
} from './resumable-stream/relay'
import { unitsToSkip } from './resumable-stream/text'
import type {
  CreateResumableStreamContextOptions,
  ResumeContext,
  TidemarkStreamContext,
} from './resumable-stream/types'

export type * from './resumable-stream/types'

/** One for each Redis, however many contexts are made. They hold nothing that would keep the process. */
const engines = new Map<string, Engine>()

/**
 * Makes a context for resumable streams; connects when it is first used.
 *
 * @throws `REDIS_URL environment variable is not set`, when neither clients nor the environment name a Redis.
 */
export const createResumableStreamContext = (
  options: CreateResumableStreamContextOptions,
): TidemarkStreamContext => {
  const { engine, target } = chosen(options)
  if (engine === undefined) return relayContext(options)
  return durableContext(engine, {
    prefix: `${target?.keyPrefix ?? ''}${options.keyPrefix || DEFAULT_KEY_PREFIX}:rs`,
    waitUntil: options.waitUntil ?? undefined,
    ttlSeconds: checkTtlSeconds(options.ttlSeconds ?? DEFAULT_TTL_SECONDS, 'options.ttlSeconds'),
    replayAfterDone: options.replayAfterDone === true,
  })
}

/** Resumes a running stream; null when it is finished. */
export async function resumeStream(
  ctx: ResumeContext,
  streamId: string,
  skipCharacters?: number,
): Promise<ReadableStream<string> | null> {
  const { engine, target } = chosen(ctx)
  if (engine === undefined) return resumeRelayed(ctx, streamId, skipCharacters)
  const name = nameOf(`${target?.keyPrefix ?? ''}${ctx.keyPrefix}`, streamId)
  const stream = await resumeDurable(engine, name, unitsToSkip(skipCharacters), false)
  if (stream === undefined) throw new Error(NO_ANSWER)
  return stream
}

/** The engine for what was given, none when the clients are to be used themselves. */
function chosen(options: Partial<CreateResumableStreamContextOptions>): { engine?: Engine; target?: Target } {
  const { engine, publisher, subscriber } = options
  if (engine) return { engine }
  const targets = [publisher, subscriber].map((client) => (client ? targetOf(client) : targetOfEnvironment()))
  if (targets.includes(undefined)) return {}
  const target = targets[0] as Target
  return { engine: engineAt(target), target }
}

function targetOfEnvironment(): Target {
  const url = urlFrom(process.env)
  // Programs look for this text.
  if (url === undefined) throw new Error('REDIS_URL environment variable is not set')
  return { url, keyPrefix: '' }
}

function engineAt({ url, tls, credentials }: Target): Engine {
  const key = JSON.stringify([url, tls, credentials && numberOf(credentials)])
  let engine = engines.get(key)
  if (engine === undefined) {
    engine = createEngine({ url, tls, credentials })
    engines.set(key, engine)
  }
  return engine
}
