// Compiled as it is, and with the drop-in in place of the original (types.test.mjs).

import { Redis } from 'ioredis'
import { createClient } from 'redis'
import {
  type _Private,
  type CreateResumableStreamContextOptions,
  createResumableStreamContext,
  type Publisher,
  type ResumableStreamContext,
  resumeStream,
  type Subscriber,
} from 'resumable-stream'
import * as generic from 'resumable-stream/generic'
import * as ioredis from 'resumable-stream/ioredis'
import * as nodeRedis from 'resumable-stream/redis'

declare function equal<T>(): <U>(
  value: U & ([U] extends [T] ? ([T] extends [U] ? unknown : never) : never),
) => void

/** As `after` of next/server and `waitUntil` of @vercel/functions are declared. */
declare function after<T>(task: Promise<T> | (() => T | Promise<T>)): void
declare function waitUntil(promise: Promise<unknown>): void

// As vercel/chatbot has it.
let globalStreamContext: ResumableStreamContext | null = null
export function getStreamContext() {
  if (!globalStreamContext) {
    try {
      globalStreamContext = createResumableStreamContext({ waitUntil: after })
    } catch (error: unknown) {
      if (error instanceof Error && error.message.includes('REDIS_URL')) console.log('disabled')
      else console.error(error)
    }
  }
  return globalStreamContext
}

const client = createClient({ url: 'redis://localhost:6379' })
const redis = new Redis('redis://localhost:6379', { lazyConnect: true })
createResumableStreamContext({ waitUntil, subscriber: client, publisher: client })
createResumableStreamContext({ waitUntil: after, subscriber: redis, publisher: redis })
nodeRedis.createResumableStreamContext({ waitUntil: null, keyPrefix: 'app', doneWatchdogIntervalMs: 5000 })
ioredis.createResumableStreamContext({ waitUntil: null, publisher: redis, subscriber: redis })

const pubsub: Publisher & Subscriber = {
  connect: async () => {},
  publish: async (_channel: string, _message: string) => 1,
  set: async (_key: string, _value: string, _options?: { EX?: number }) => 'OK' as const,
  get: async (_key: string) => null,
  incr: async (_key: string) => 1,
  subscribe: async (_channel: string, _callback: (message: string) => void) => {},
  unsubscribe: async (_channel: string) => {},
}
const options: CreateResumableStreamContextOptions = {
  waitUntil: null,
  publisher: pubsub,
  subscriber: pubsub,
}
const ctx: ResumableStreamContext = generic.createResumableStreamContext(options)
export const defaults: _Private.RedisDefaults = { publisher: () => pubsub, subscriber: () => pubsub }

/** A stand-in for tests. */
export const fake: ResumableStreamContext = {
  resumableStream: async (_streamId, makeStream, _skipCharacters) => makeStream(),
  resumeExistingStream: async () => undefined,
  createNewResumableStream: async (_streamId, makeStream) => makeStream(),
  hasExistingStream: async () => null,
}

export async function GET(streamId: string, resumeAt: string | null): Promise<Response> {
  const stream = await ctx.resumeExistingStream(
    streamId,
    resumeAt ? Number.parseInt(resumeAt, 10) : undefined,
  )
  equal<ReadableStream<string> | null | undefined>()(stream)
  if (!stream) return new Response(null, { status: 204 })
  return new Response(stream.pipeThrough(new TextEncoderStream()))
}

export async function POST(streamId: string, source: ReadableStream<string>) {
  const created = await ctx.createNewResumableStream(streamId, () => source)
  equal<ReadableStream<string> | null>()(created)
  equal<ReadableStream<string> | null>()(await ctx.resumableStream(streamId, () => source, 5))
  const state = await ctx.hasExistingStream(streamId)
  equal<null | true | 'DONE'>()(state)
  const keyPrefix = 'resumable-stream:rs'
  const resumed = await resumeStream(
    { keyPrefix, waitUntil, publisher: client, subscriber: client },
    streamId,
    3,
  )
  equal<ReadableStream<string> | null>()(resumed)
  // @ts-expect-error: waitUntil has to be thought of
  createResumableStreamContext({})
  // @ts-expect-error: only text
  ctx.resumableStream(streamId, () => new ReadableStream<Uint8Array>())
}
