import type * as api from '../../index'
import { ActiveError } from '../errors/errors'

/** What a stopped answer's end may take beyond the engine's `stopGrace`, in milliseconds. */
const LATE_MS = 2000
const DEFAULT_GRACE_MS = 1000

/**
 * Whether a start that was refused can be tried again, since the answer that was in its way has been told to stop and has ended.
 * Waits for that; an answer that nobody has stopped is not waited for.
 */
export async function hasMadeWay(
  engine: api.Engine,
  streamId: string,
  owner: string,
  refused: unknown,
): Promise<boolean> {
  if (!(refused instanceof ActiveError)) return false
  const status = await engine.status(streamId)
  if (status?.state !== 'active') return true
  if (status.stop === null || status.owner !== owner) return false
  const { stopGraceMs = DEFAULT_GRACE_MS } = engine as { stopGraceMs?: number }
  const signal = AbortSignal.timeout(stopGraceMs + LATE_MS)
  try {
    for await (const _ of engine.subscribe(streamId, { from: 'now', owner, wait: 0, signal }));
  } catch {
    // How it has ended is of no importance, as long as it has.
  }
  return !signal.aborted
}
