import type { Engine, PipeOptions } from '../../index'
import { messageOf } from '../core/producer'
import { TidemarkError } from '../errors/errors'
import { ignore } from '../util/deferred'
import { Chunks, textOf, unitsToSkip } from './text'
import type { MakeStream, TidemarkStreamContext } from './types'

export interface Durable {
  /** Begins the names of the streams, as in `resumable-stream:rs`. */
  prefix: string
  waitUntil: ((promise: Promise<unknown>) => void) | undefined
  ttlSeconds: number
  replayAfterDone: boolean
}

/**
 * The engine's name of a stream; no two pairs of prefix and id have the same one. A prefix that could cause this, because it
 * contains `:rs:` together with the one behind it, is written without colons.
 */
export function nameOf(prefix: string, streamId: string): string {
  if (!/%|:rs:/.test(prefix)) return `${prefix}:${streamId}`
  const [, own, end = ''] = /^(.*?)(:rs)?$/s.exec(prefix) ?? []
  return `${own?.replaceAll('%', '%25').replaceAll(':', '%3A')}${end}:${streamId}`
}

/** A context whose streams an engine keeps. */
export function durableContext(engine: Engine, options: Durable): TidemarkStreamContext {
  const { waitUntil, replayAfterDone } = options
  const name = (streamId: string) => nameOf(options.prefix, streamId)
  const life = `${options.ttlSeconds}s` as const
  const ttl = { active: life, done: life }

  const resume = (streamId: string, skip: number) =>
    resumeDurable(engine, name(streamId), skip, replayAfterDone)

  return {
    async resumableStream(streamId, makeStream, skipCharacters) {
      const skip = unitsToSkip(skipCharacters)
      for (;;) {
        const created = await create(engine, name(streamId), makeStream, { ttl, ifEnded: 'error' }, waitUntil)
        if (created !== undefined) return created
        const resumed = await resume(streamId, skip)
        // Undefined if it existed, but has expired since.
        if (resumed !== undefined) return resumed
      }
    },

    async createNewResumableStream(streamId, makeStream) {
      const taking = { ttl, ifActive: 'takeover' } as const
      return (await create(engine, name(streamId), makeStream, taking, waitUntil)) ?? null
    },

    async resumeExistingStream(streamId, skipCharacters) {
      return resume(streamId, unitsToSkip(skipCharacters))
    },

    async hasExistingStream(streamId) {
      const status = await engine.status(name(streamId))
      return status && (isFinished(status.state) ? 'DONE' : true)
    },

    async stop(streamId, reason) {
      return engine.stop(name(streamId), reason)
    },
  }
}

/** The text so far and the live text; null if the stream is finished, undefined if there is none. */
export async function resumeDurable(
  engine: Engine,
  streamId: string,
  skip: number,
  replayAfterDone: boolean,
): Promise<ReadableStream<string> | null | undefined> {
  const status = await engine.status(streamId)
  if (status === null) return undefined
  if (isFinished(status.state) && !replayAfterDone) return null
  return textOf(engine.subscribe(streamId, { wait: 0 }), skip)
}

/** Whether its producer ended it; a stream that failed or whose producer died still has an error to report. */
function isFinished(state: string): boolean {
  return state === 'complete' || state === 'stopped'
}

/** Settles once `makeStream` was called or need not be; undefined if the stream exists and `options` refuse that. */
function create(
  engine: Engine,
  streamId: string,
  makeStream: MakeStream,
  options: PipeOptions,
  waitUntil: ((promise: Promise<unknown>) => void) | undefined,
): Promise<ReadableStream<string> | undefined> {
  return new Promise((resolve, reject) => {
    let ended: Promise<unknown> = Promise.resolve()
    const source = (signal: AbortSignal) => {
      try {
        waitUntil?.(ended)
        const chunks = new Chunks(makeStream(signal))
        resolve(stream)
        return chunks
      } catch (error) {
        reject(error)
        throw error
      }
    }
    const stream = engine.pipe(streamId, source, {
      ...options,
      // Readers are programs, and get the error as the creator does.
      onError: messageOf,
      waitUntil(done) {
        ended = done.then(ignore, ignore)
        // No effect once the source was requested. A kept stop ends the stream before that.
        done.then(
          () => resolve(stream),
          (error) => (exists(error) ? resolve(undefined) : reject(error)),
        )
      },
    }) as ReadableStream<string>
  })
}

function exists(error: unknown): boolean {
  return error instanceof TidemarkError && (error.code === 'ERR_ACTIVE' || error.code === 'ERR_ENDED')
}
