import type { StreamDurability } from '@tanstack/ai' with { 'resolution-mode': 'import' }
import type { Duration, Engine as PublicEngine } from '../../index'
import type { Engine } from '../core/engine'
import type { Log } from '../core/log'
import { called, invalidArgument } from '../errors/errors'
import { engine as anEngine, batches, prefix } from '../options/adapters'
import { callback, duration, integer, list, object, refuse } from '../options/checks'
import { owner } from '../options/fields'
import { offsetOf } from './offsets'
import { read, snapshot } from './reading'
import { type Source, sourceOf, type TidemarkStreamInit } from './source'

export interface TidemarkStreamOptions {
  /** The owner of the run: nobody else can read or write it. 1–512 bytes. Default: everybody who knows its id can. */
  owner?: string | undefined
  /** How long a run is kept after it was last written or read: 1 s to 36,500 days. Default: the engine's `ttl.active`. */
  ttl?: Duration | undefined
  /** The beginning of its streams' ids, so that a run's id cannot name another stream. Up to 64 bytes, default `'tanstack:'`. */
  prefix?: string | undefined
  /**
   * How many milliseconds a reader from the start waits for the first chunk of a run that has none, 0 to a day. Default 100, as in
   * `memoryStream`.
   */
  firstChunkDeadlineMs?: number | undefined
  /** Called once, with the first append after `engine.stop`: abort the model call. */
  onStop?: ((reason: string) => void) | undefined
}

/** A run of TanStack AI, kept by Tidemark. */
export interface TidemarkStreamDurability extends StreamDurability {
  /** The requested run: check whether the user may access it. */
  readonly runId: string
}

const DAY_MS = 86_400_000
const DEFAULT_DEADLINE_MS = 100

const checkOptions = object({
  owner,
  ttl: duration('1s', '36500d'),
  prefix,
  firstChunkDeadlineMs: integer(0, DAY_MS, 'milliseconds'),
  onStop: callback<string>,
})

/**
 * Stores a run of TanStack AI, so that its readers can resume on any server: the `durability` of `toServerSentEventsResponse` and
 * `toHttpResponse`, the `adapter` of `resumeServerSentEventsResponse` and `resumeHttpResponse`. One for each request.
 *
 * ```ts
 * return toServerSentEventsResponse(stream, { durability: { adapter: tidemarkStream(engine, request) } })
 * ```
 *
 * @param source a request, which names its run in `X-Run-Id`, in `?runId` or by the offset in `Last-Event-ID` or `?offset`; or the run
 * @throws `ERR_INVALID_ARGUMENT` if no run is named, or an offset is not one of ours, or is of another run
 */
export function tidemarkStream(
  engine: PublicEngine,
  source: Request | TidemarkStreamInit,
  options?: TidemarkStreamOptions,
): TidemarkStreamDurability {
  return called(tidemarkStream, () => {
    const checked = anEngine(engine, 'engine') as Engine
    const { prefix = 'tanstack:', owner, ttl, ...rest } = checkOptions(options, 'options')
    const from = sourceOf(source)
    const log = checked.log(prefix + from.runId, { contentType: 'application/json', owner, ttl })
    return durability(log, from, rest)
  })
}

interface Settings {
  firstChunkDeadlineMs?: number | undefined
  onStop?: ((reason: string) => unknown) | undefined
}

function durability(log: Log, { runId, offset }: Source, settings: Settings): TidemarkStreamDurability {
  const { firstChunkDeadlineMs = DEFAULT_DEADLINE_MS, onStop } = settings
  let isStopped = false
  const noteStop = (stop: string | undefined) => {
    if (stop === undefined || isStopped) return
    isStopped = true
    try {
      onStop?.(stop)
    } catch (error) {
      // What was appended is written all the same.
      console.error(error)
    }
  }
  return {
    runId,
    resumeFrom: () => offset,
    append: async (chunks) => {
      const offsets: string[] = []
      for (const batch of batches(texts(list(chunks, 'chunks')))) {
        const { cursors, stop } = await log.append(batch)
        for (const cursor of cursors) offsets.push(offsetOf(runId, cursor))
        noteStop(stop)
      }
      return offsets
    },
    close: async () => {
      await log.close()
    },
    read: (after, signal) => read(log, { runId, after, signal, deadlineMs: firstChunkDeadlineMs }),
    snapshot: () => snapshot(log, runId),
  }
}

/** As the chunks are kept. All are refused if one is no chunk. */
function texts(chunks: readonly unknown[]): string[] {
  // Unlike `map`, this visits the holes of an array, which are refused too.
  return Array.from(chunks, (chunk, index) => textOf(chunk, `chunks[${index}]`))
}

function textOf(chunk: unknown, field: string): string {
  if (typeof chunk !== 'object' || chunk === null || Array.isArray(chunk)) {
    throw invalidArgument(field, 'must be a chunk of TanStack AI: an object with a type')
  }
  let text: string | undefined
  try {
    text = JSON.stringify(chunk)
  } catch (cause) {
    throw invalidArgument(field, 'cannot be written as JSON', { cause })
  }
  return text ?? refuse(field, 'something that JSON can express', chunk)
}
