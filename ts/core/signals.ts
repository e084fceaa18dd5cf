/**
 * Closing engines when the process is told to end. A listener for a signal takes its default effect away, so it is brought about
 * afterwards, unless somebody else listens too, who then decides how the process ends.
 */

type Close = () => Promise<unknown>

/** One signal's engines, and who listens for all of them. */
interface Watch {
  closes: Set<Close>
  listener: () => void
}

/** Shared by all copies of this module in the process: each would take the others for somebody else. */
const WATCHES = Symbol.for('tidemark.signals')

function watches(): Map<NodeJS.Signals, Watch> {
  const shared = globalThis as { [WATCHES]?: Map<NodeJS.Signals, Watch> }
  shared[WATCHES] ??= new Map()
  return shared[WATCHES]
}

/** Calls `close` when one of these signals comes. Returns what takes it back. */
export function closeOn(signals: readonly NodeJS.Signals[], close: Close): () => void {
  for (const signal of signals) watch(signal).closes.add(close)
  return () => {
    for (const signal of signals) {
      const { closes } = watches().get(signal) ?? {}
      if (closes?.delete(close) && closes.size === 0) forget(signal)
    }
  }
}

function watch(signal: NodeJS.Signals): Watch {
  const known = watches().get(signal)
  if (known !== undefined) return known
  const made: Watch = {
    closes: new Set(),
    listener() {
      // Somebody's `once` is counted as long as this listener is called before it.
      const isAlone = process.listenerCount(signal) === 1
      const closing = [...made.closes].map((close) => close())
      Promise.allSettled(closing).then(() => {
        forget(signal)
        if (isAlone) process.kill(process.pid, signal)
      })
    },
  }
  watches().set(signal, made)
  process.prependListener(signal, made.listener)
  return made
}

/** From here on the signal has its default effect again. */
function forget(signal: NodeJS.Signals): void {
  const known = watches().get(signal)
  if (known === undefined) return
  watches().delete(signal)
  process.removeListener(signal, known.listener)
}
