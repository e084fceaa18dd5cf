// The options of calls on a stream by its name, or on all streams.

import type { CleanupReport } from '../../index'
import type { SweepArgs } from './args'
import { callback, duration, flag, integer, listOf, object, oneOf } from './checks'
import { only, owner, reason, signal, streamId } from './fields'

const DEFAULT_AGE_MS = 3_600_000
const OUTCOMES = ['complete', 'failed', 'stopped', 'interrupted'] as const

const cleanupOptions = object({
  olderThan: duration('0ms', '365d'),
  outcomes: listOf(oneOf(...OUTCOMES)),
  dryRun: flag,
  force: flag,
  batch: integer(1, 1000, 'streams'),
  signal,
  onProgress: callback<CleanupReport>,
})

const metricsOptions = object({ format: oneOf('object', 'prometheus') })
const memoryOptions = object({ streams: integer(1, 64, 'streams') })
const deleteOptions = object({ owner })
const stopOptions = object({ reason, owner, keep: duration('1s', '365d') })

/** `stop(id, options)`, or the earlier form: `stop(id, reason, options)`. */
export function stopArgs(id: unknown, why: unknown, given: unknown) {
  const stream = streamId(id, 'streamId')
  const isOld = typeof why !== 'object' || why === null
  const words = isOld && why !== undefined ? reason(why, 'reason') : ''
  const options = stopOptions(isOld ? given : only(why, given), 'options')
  const { owner = null, keep = null } = options
  return { streamId: stream, reason: options.reason ?? words, owner, keepMs: keep }
}

export function deleteArgs(id: unknown, given: unknown) {
  const stream = streamId(id, 'streamId')
  return { streamId: stream, owner: deleteOptions(given, 'options').owner ?? null }
}

export function cleanupArgs(given: unknown) {
  const options = cleanupOptions(given, 'options')
  const sweep: Omit<SweepArgs, 'streamIds'> = {
    olderThanMs: options.olderThan ?? DEFAULT_AGE_MS,
    outcomes: options.outcomes ?? [...OUTCOMES],
    force: options.force ?? false,
    dryRun: options.dryRun ?? false,
  }
  return { sweep, batch: options.batch ?? 100, signal: options.signal, onProgress: options.onProgress }
}

export function metricsArgs(given: unknown): { format: 'object' | 'prometheus' } {
  return { format: metricsOptions(given, 'options').format ?? 'object' }
}

export function memoryArgs(given: unknown): { streams: number } {
  return { streams: memoryOptions(given, 'options').streams ?? 8 }
}
