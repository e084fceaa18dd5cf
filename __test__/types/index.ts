// Compiled, not run (types.test.mjs): what users may write, and what the compiler must refuse.
import { createServer, type IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import {
  type ChunkData,
  type CleanupReport,
  type ConnectionState,
  type ConsumerStatus,
  type Consumption,
  createEngine,
  type Duration,
  type Engine,
  type EngineOptions,
  type ErrorCode,
  FailedError,
  type FinishedGeneration,
  GapError,
  InvalidArgumentError,
  type MemorySample,
  type Metrics,
  type Outcome,
  type PipeSource,
  type Producer,
  type RespondOptions,
  StoppedError,
  type StopResult,
  type StreamStatus,
  type Subscription,
  TidemarkError,
} from 'tidemark'
import { observe } from 'tidemark/opentelemetry'

declare function equal<T>(): <U>(
  value: U & ([U] extends [T] ? ([T] extends [U] ? unknown : never) : never),
) => void

const maybe: string | undefined = process.env.MAYBE
const options: EngineOptions = {
  url: maybe,
  tls: { ca: maybe },
  ttl: { active: '1h', done: 90_000 },
  lease: undefined,
}
const engine: Engine = createEngine(options)
createEngine()

// @ts-expect-error: what is logged, and no stream that is a log
createEngine({ log: { contentType: 'text/plain' } })
// @ts-expect-error: not an option
createEngine({ prefix: 'x' })
// @ts-expect-error: no unit that there is
createEngine({ lease: '1 hour' })
// @ts-expect-error: a text of anything
createEngine({ lease: process.env.LEASE ?? '1s' })
// @ts-expect-error: a wrong type
createEngine({ flushIntervalMs: '5ms' })
createEngine({ compression: maybe === undefined ? 9 : false })
// @ts-expect-error: a level is a number
createEngine({ compression: 'gzip' })
// @ts-expect-error: classes are not for making errors
new TidemarkError()
// @ts-expect-error: nor are subclasses
new InvalidArgumentError()

engine.on('state', (state, reason) => {
  equal<ConnectionState>()(state)
  equal<string>()(reason)
})
// @ts-expect-error: no such event
engine.on('status', () => {})
// @ts-expect-error: read-only
engine.state = 'ready'

export async function produce(signal: AbortSignal | undefined): Promise<Outcome> {
  await using producer = await engine.produce('chat', {
    owner: maybe,
    metadata: { any: ['thing'] },
    ifActive: 'share',
  })
  equal<Producer>()(producer)
  const isBelow: boolean = producer.write('text')
  if (!isBelow) await producer.ready
  equal<string>()(await producer.append(new Uint8Array(3)))
  producer.write(Buffer.from('bytes'))
  // @ts-expect-error: numbers are not chunks
  producer.write(5)
  // @ts-expect-error: a word that is not one of the three
  await engine.produce('chat', { ifActive: 'replace' })
  producer.signal.addEventListener('abort', () => producer.signal.reason instanceof StoppedError)
  signal?.throwIfAborted()
  await producer.flush()
  if (producer.outcome !== undefined) return producer.fail(new Error('no'))
  return producer.complete()
}

export async function follow(signal: AbortSignal | undefined): Promise<string> {
  const wait: Duration = '30s'
  await using subscription = engine.subscribe('chat', {
    from: 'now',
    signal,
    wait,
    follow: 'all',
    owner: maybe,
  })
  equal<Subscription>()(subscription)
  engine.subscribe('chat', { from: subscription.cursor })
  // @ts-expect-error: not a way to follow
  engine.subscribe('chat', { follow: 'none' })
  let text = ''
  try {
    for await (const { seq, cursor, data } of subscription.unref()) {
      equal<number>()(seq)
      equal<string>()(cursor)
      equal<ChunkData>()(data)
      text += data
    }
  } catch (error) {
    if (error instanceof GapError) return follow(AbortSignal.timeout(error.resume.length))
    if (error instanceof FailedError) return error.reason
    if (error instanceof TidemarkError && error.code === 'ERR_NOT_FOUND') return String(error.retryable)
    // @ts-expect-error: not a code
    if (error instanceof TidemarkError && error.code === 'ERR_OTHER') return ''
    throw error
  }
  for await (const chunk of engine.subscribe('chat')) {
    const parsed = chunk.json<{ a: number }>()
    equal<number>()(parsed.a)
    equal<unknown>()(chunk.json())
    equal<string>()(chunk.text())
    // @ts-expect-error: read-only
    chunk.seq = 5
  }
  equal<Outcome | undefined>()(subscription.outcome)
  const result = await subscription.next()
  if (result.done) equal<undefined>()(result.value)
  else equal<number>()(result.value.seq)
  return text
}

export function pipe(source: AsyncIterable<string>, web: ReadableStream<Uint8Array>): Response {
  const pending: Promise<unknown>[] = []
  const fetched: PipeSource = (signal) => (signal.aborted ? source : web)
  engine.pipe('chat', source)
  engine.pipe('chat', web, { waitUntil: (done) => pending.push(done) })
  // @ts-expect-error: arrays of numbers are no source
  engine.pipe('chat', [1, 2])
  const stream: ReadableStream<ChunkData> = engine.pipe('chat', fetched, { ifActive: 'takeover' })
  return new Response(stream as ReadableStream<Uint8Array>)
}

export async function serve(request: Request, node: import('node:http').IncomingMessage): Promise<Response> {
  const options: RespondOptions = {
    heartbeatMs: 5000,
    format: 'ui-messages',
    headers: { a: 'b' },
    owner: maybe,
  }
  equal<Response>()(await engine.respond(node, 'chat', options))
  createServer((req, res) => engine.send(req, res, 'chat', options))
  createHttp2Server((req, res) => engine.send(req, res, 'chat', options))
  const fastify = async (request: { raw: IncomingMessage }, reply: { raw: ServerResponse }) =>
    engine.send(request.raw, reply.raw, 'chat')
  equal<Promise<void>>()(fastify({ raw: node }, { raw: new ServerResponse(node) }))
  // @ts-expect-error: a web request has no response to send by
  await engine.send(request, new Response(), 'chat')
  // @ts-expect-error: not a format
  await engine.respond(request, 'chat', { format: 'json' })
  // @ts-expect-error: a body has no headers
  engine.subscribe('chat').toSSE({ headers: {} })
  const body: ReadableStream<Uint8Array> = engine.subscribe('chat').toSSE({ maxDurationMs: 300_000 })
  return request.signal.aborted ? engine.respond(request, 'chat') : new Response(body)
}

export async function operate(): Promise<StreamStatus[]> {
  equal<StopResult>()(await engine.stop('chat', { reason: maybe, owner: maybe, keep: '1h' }))
  equal<StopResult>()(await engine.stop('chat', 'enough', { owner: maybe }))
  equal<StopResult>()(await engine.stop('chat', maybe))
  equal<void>()(await engine.ack('chat', { consumer: 'user', cursor: 'cursor', owner: maybe }))
  // @ts-expect-error: whose progress it is
  await engine.ack('chat', { cursor: 'cursor' })
  const status = await engine.status('chat')
  equal<StreamStatus | null>()(status)
  // @ts-expect-error: may be null
  status.state
  equal<ConsumerStatus[] | undefined>()(status?.consumers)
  equal<void>()(await engine.ack('chat', 'user', 'cursor', { owner: maybe }))
  const reader = engine.subscribe('chat', {
    consumer: maybe,
    window: 64,
    ack: 'manual',
    ackTimeoutMs: 30_000,
  })
  equal<void>()(await reader.ack('cursor'))
  // @ts-expect-error: not a way to acknowledge
  engine.subscribe('chat', { consumer: 'user', ack: 'never' })
  equal<boolean>()(await engine.delete('chat'))
  const all: StreamStatus[] = []
  for await (const each of engine.streams()) all.push(each)
  const codes: ErrorCode[] = ['ERR_GAP']
  equal<number>()(codes.length)
  const report = await engine.cleanup({
    olderThan: '1d',
    outcomes: ['failed'],
    signal: AbortSignal.timeout(5),
  })
  equal<CleanupReport>()(report)
  // @ts-expect-error: not an outcome
  engine.cleanup({ outcomes: ['active'] })
  equal<string>()(engine.metrics({ format: 'prometheus' }))
  const metrics = engine.metrics()
  equal<Metrics>()(metrics)
  equal<number>()(metrics.ended.lost + metrics.appendSeconds.sum)
  equal<MemorySample | null>()(metrics.memory)
  equal<MemorySample>()(await engine.sampleMemory({ streams: 4 }))
  // @ts-expect-error: not a format
  engine.metrics({ format: 'xml' })
  const stop: () => void = observe(engine, { attributes: { engine: 'chat' } })
  stop()
  await engine.connect()
  await engine.close()
  return all
}

export async function share(): Promise<void> {
  const consumption = engine.consume('chat', {
    group: 'g',
    consumer: 'c',
    batch: 5,
    from: 'now',
    owner: maybe,
  })
  equal<Consumption>()(consumption)
  for await (const item of consumption) {
    equal<number>()(item.deliveries)
    equal<ChunkData>()(item.data)
    equal<void>()(await item.ack())
  }
  // @ts-expect-error: a group needs a name
  engine.consume('chat', { consumer: 'c' })
  await using queue = engine.finished({ group: 'g', consumer: 'c', signal: AbortSignal.timeout(5) })
  for await (const answer of queue) {
    equal<FinishedGeneration>()(answer)
    equal<Outcome>()(answer.outcome)
    await answer.ack()
  }
  for await (const letter of engine.deadLetters({ streamId: 'chat', group: 'g' })) {
    equal<ChunkData | null>()(letter.data)
    await letter.retry()
  }
  for await (const letter of engine.deadLetters({ group: 'g' })) {
    equal<string>()(letter.streamId)
    await letter.drop()
  }
}
