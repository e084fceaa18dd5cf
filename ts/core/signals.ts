/**
 * Closes engines when the process gets a signal. A listener for a signal disables its default effect, so that is brought about
 * afterwards, unless there are other listeners, which then decide how the process ends.
 */

type Close = () => Promise<unknown>

/** One signal's engines, and the listener for all of them. */
interface Watch {
  closes: Set<Close>
  listener: () => void
}

/** Shared by all copies of this module in the process, so that they do not count as other listeners. */
const WATCHES = Symbol.for('tidemark.signals')

function watches(): Map<NodeJS.Signals, Watch> {
  const shared = globalThis as { [WATCHES]?: Map<NodeJS.Signals, Watch> }
  shared[WATCHES] ??= new Map()
  return shared[WATCHES]
}

/** Calls `close` when one of these signals comes. Returns a function that undoes this. */
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
      // A `once` listener of the program is counted, because this listener is called before it.
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
