/**
 * One tab of a browser leads, for as long as it lives: by the browser's locks, or, on pages that have none (those without TLS), by
 * an election of the tabs.
 */
import { clearTimeout, setTimeout } from '../util/browser-timers.js'

/** What tabs say to each other; those of other kinds are not for us. */
export interface Channel {
  post(message: object): void
  listen(listener: (message: Record<string, unknown>) => void): () => void
}

interface Locks {
  request(
    name: string,
    options: { signal?: AbortSignal; steal?: boolean },
    work: () => Promise<unknown>,
  ): Promise<unknown>
}

export interface Leading {
  /** Lets another one lead. */
  leave(): void
  /** Takes over: who leads does not answer. */
  usurp(): void
}

/** How often a leader says that it is there, in the tabs' own election. */
const BEAT_MS = 2_000

/** Calls `lead` when this tab leads, with a signal that is aborted when it no longer does. */
export function leading(
  name: string,
  channel: Channel,
  lead: (signal: AbortSignal) => void,
  beatMs = BEAT_MS,
): Leading {
  const { navigator } = globalThis as { navigator?: { locks?: Locks } }
  const locks = navigator?.locks
  return locks === undefined ? elected(channel, lead, beatMs) : locked(locks, name, lead)
}

function locked(locks: Locks, name: string, lead: (signal: AbortSignal) => void): Leading {
  const left = new AbortController()
  let waiting = new AbortController()
  const apply = (options: { signal?: AbortSignal; steal?: boolean }) => {
    const term = new AbortController()
    const end = () => term.abort()
    left.signal.addEventListener('abort', end)
    const hold = () =>
      new Promise<void>((resolve) => {
        left.signal.addEventListener('abort', () => resolve())
        if (left.signal.aborted) resolve()
        else lead(term.signal)
      })
    locks.request(name, options, hold).catch(() => {
      end()
      // Another tab has taken it, while this one was asleep: it may come back to it.
      if (!left.signal.aborted && !options.signal?.aborted) wait()
    })
  }
  const wait = () => {
    waiting = new AbortController()
    apply({ signal: waiting.signal })
  }
  wait()
  return {
    leave() {
      left.abort()
      waiting.abort()
    },
    usurp() {
      waiting.abort()
      apply({ steal: true })
    },
  }
}

/** Who has claimed first leads, and says so again and again; of two, the one with the smaller name. */
function elected(channel: Channel, lead: (signal: AbortSignal) => void, beatMs: number): Leading {
  const me = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`
  let term: AbortController | undefined
  let timer: ReturnType<typeof setTimeout>
  const after = (ms: number, then: () => void) => {
    clearTimeout(timer)
    timer = setTimeout(then, ms)
    ;(timer as { unref?: () => void }).unref?.()
  }
  const beat = () => {
    channel.post({ kind: 'leads', by: me })
    after(beatMs, beat)
  }
  const claim = () => {
    beat()
    if (term !== undefined) return
    term = new AbortController()
    lead(term.signal)
  }
  const follow = () => {
    term?.abort()
    term = undefined
    // Not all at once, when the leader has gone.
    after(beatMs * (2 + Math.random()), claim)
  }
  const unlisten = channel.listen(({ kind, by }) => {
    if (kind === 'resigns') return term ? beat() : after(Math.random() * 100, claim)
    if (kind === 'applies') return term && beat()
    if (kind !== 'leads') return
    if (term === undefined || (by as string) < me) follow()
    else beat()
  })
  channel.post({ kind: 'applies' })
  after(100 + Math.random() * 100, claim)
  return {
    leave() {
      if (term !== undefined) channel.post({ kind: 'resigns' })
      unlisten()
      clearTimeout(timer)
      term?.abort()
    },
    usurp: claim,
  }
}
