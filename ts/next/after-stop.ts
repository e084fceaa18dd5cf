import type * as api from '../../index'
import { ActiveError } from '../errors/errors'

/** Milliseconds that the end of a stopped answer may take beyond the engine's `stopGrace`. */
const LATE_MS = 2000
const DEFAULT_GRACE_MS = 1000

/**
 * Whether a refused start can be retried because the answer in its way was stopped and has ended. Waits for that end;
 * does not wait for an answer that was not stopped.
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
    // The outcome does not matter, only that it has ended.
  }
  return !signal.aborted
}
