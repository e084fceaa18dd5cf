import type { StreamChunk } from '@tanstack/ai' with { 'resolution-mode': 'import' }
import type { Chunk } from '../../index'
import type { Log } from '../core/log'
import { fromNative, invalidArgument, TidemarkError } from '../errors/errors'
import { clearTimeout, setTimeout } from '../util/timers'
import { offsetOf, positionOf } from './offsets'

export interface Entry {
  offset: string
  chunk: StreamChunk
}

function entryOf(runId: string, chunk: Chunk): Entry {
  return { offset: offsetOf(runId, chunk.cursor), chunk: chunk.json<StreamChunk>() }
}

export interface Reading {
  runId: string
  after: string
  signal: AbortSignal | undefined
  /** How long to wait for the first chunk. */
  deadlineMs: number
}

/** The chunks after an offset, to the close. Any other end is an error, so that no reader takes a part for the whole run. */
export async function* read(log: Log, reading: Reading): AsyncGenerator<Entry, void, undefined> {
  const { runId, after, signal, deadlineMs } = reading
  const position = positionOf(after)
  if (position.runId !== undefined && position.runId !== runId) {
    throw invalidArgument('offset', 'is of another run than the one that is read')
  }
  if (signal?.aborted) return
  const page = await look(log, position.from)
  if (page === null && position.runId !== undefined) throw unknownRun(log)
  const late = new AbortController()
  // In a run without chunks, every position is the start: the first chunk is waited for.
  const isEmpty = page === null || (page.next.endsWith('.0') && !page.closed)
  const timer = isEmpty ? setTimeout(() => late.abort(), deadlineMs) : undefined
  const over = signal === undefined ? late.signal : AbortSignal.any([signal, late.signal])
  const from = page === null ? 'start' : page.chunks.length > 0 ? position.from : page.next
  const following = log.follow({ from, signal: over, wait: '1d' })
  try {
    for await (const chunk of following) {
      clearTimeout(timer)
      yield entryOf(runId, chunk)
    }
  } catch (error) {
    if (signal?.aborted) return
    if (late.signal.aborted) throw lacking(log, `run produced no data within ${deadlineMs}ms`)
    throw isGone(error) ? unknownRun(log) : error
  } finally {
    clearTimeout(timer)
    await following.return()
  }
}

/** The chunks that exist at this moment. */
export async function snapshot(log: Log, runId: string): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const chunk of log.present()) entries.push(entryOf(runId, chunk))
  return entries
}

/** Where a reader would begin; null when there is no such run. */
async function look(log: Log, from: string) {
  try {
    return await log.look({ from, limit: 1 })
  } catch (error) {
    throw isGone(error) ? unknownRun(log) : error
  }
}

/** Whether a run has been deleted, has expired, or is another one by now. */
function isGone(error: unknown): boolean {
  if (!(error instanceof TidemarkError)) return false
  return error.code === 'ERR_GAP' || error.code === 'ERR_INTERRUPTED' || error.code === 'ERR_NOT_FOUND'
}

const unknownRun = (log: Log) => lacking(log, 'Unknown or expired run')

function lacking({ streamId }: Log, problem: string): TidemarkError {
  const message = `stream ${JSON.stringify(streamId)}: ${problem}`
  return fromNative({ code: 'ERR_NOT_FOUND', message, streamId, retryable: false })
}
