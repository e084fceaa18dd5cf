import { ignore } from '../util/deferred'
import { setTimeout } from '../util/timers'

/**
 * Engines by name. A development server evaluates a module again on every save, and cannot tell the engine of the earlier
 * evaluation that it is obsolete.
 */

interface Named {
  readonly state: string
  metrics(): { producers: number }
  close(): Promise<void>
}

/** Shared by all copies of this module in the process. */
const NAMES = Symbol.for('tidemark.engines')
/** How often a replaced engine that still writes is checked. */
const LOOK_MS = 250

/** Registers the newest engine of a name; the previous one is closed once its producers have ended. */
export function replace(name: string, engine: Named): void {
  const shared = globalThis as { [NAMES]?: Map<string, Named> }
  shared[NAMES] ??= new Map()
  const before = shared[NAMES].get(name)
  shared[NAMES].set(name, engine)
  if (before !== undefined) retire(before)
}

function retire(engine: Named): void {
  if (engine.state === 'closed') return
  if (engine.metrics().producers === 0) engine.close().catch(ignore)
  else setTimeout(() => retire(engine), LOOK_MS).unref()
}
