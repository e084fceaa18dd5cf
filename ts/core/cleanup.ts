import type { CleanupReport } from '../../index'
import type { Bridge } from '../native/bridge'
import type { Swept } from '../native/native'
import type { SweepArgs } from '../options/args'
import { now } from '../util/timers'
import { pages } from './pages'

export interface CleanupArgs {
  sweep: Omit<SweepArgs, 'streamIds'>
  batch: number
  signal: AbortSignal | undefined
  onProgress: ((report: CleanupReport) => void) | undefined
}

export async function cleanup(bridge: Bridge, args: CleanupArgs): Promise<CleanupReport> {
  const { sweep, batch, signal, onProgress } = args
  signal?.throwIfAborted()
  const total = await bridge.request('count', {}, (count: number) => count)
  const counts: Record<Swept, number> = { removed: 0, live: 0, kept: 0, damaged: 0, gone: 0 }
  const begin = now()
  const report = (): CleanupReport => {
    const { gone, ...streams } = counts
    const scanned = streams.removed + streams.live + streams.kept + streams.damaged + gone
    const durationMs = now() - begin
    return { dryRun: sweep.dryRun, total, scanned, ...streams, healed: gone, durationMs }
  }
  for await (const ids of pages(bridge, batch)) {
    // A small index comes as one page, whatever the requested size.
    for (let at = 0; at < ids.length; at += batch) {
      signal?.throwIfAborted()
      const args: SweepArgs = { ...sweep, streamIds: ids.slice(at, at + batch) }
      for (const result of await bridge.request('sweep', args, (swept: Swept[]) => swept)) counts[result]++
      onProgress?.(report())
    }
  }
  return report()
}
