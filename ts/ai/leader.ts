/**
 * One tab of a browser leads for as long as it lives. The browser's locks decide which; on pages that have none (those without TLS)
 * or may not use them (those that may store nothing), the tabs elect it.
 */
import { clearTimeout, setTimeout } from '../util/browser-timers.js'

/** Messages between tabs; other kinds are ignored. */
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
  /** Takes over from a leader that does not answer. */
  takeOver(): void
}

/** How often an elected leader sends a heartbeat. */
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
  const elect = () => elected(channel, lead, beatMs)
  return locks === undefined ? elect() : locked(locks, name, lead, elect)
}

/** `elect`: what to do instead where the browser refuses locks. */
function locked(
  locks: Locks,
  name: string,
  lead: (signal: AbortSignal) => void,
  elect: () => Leading,
): Leading {
  const left = new AbortController()
  let waiting = new AbortController()
  let elected: Leading | undefined
  const apply = (options: { signal?: AbortSignal; steal?: boolean }) => {
    const term = new AbortController()
    const end = () => term.abort()
    left.signal.addEventListener('abort', end)
    let wasGranted = false
    const hold = () =>
      new Promise<void>((resolve) => {
        wasGranted = true
        left.signal.addEventListener('abort', () => resolve())
        if (left.signal.aborted) resolve()
        else lead(term.signal)
      })
    locks.request(name, options, hold).catch(() => {
      end()
      if (left.signal.aborted || options.signal?.aborted) return
      // Another tab has taken the lock while this one was asleep; it may come back.
      if (wasGranted) wait()
      else elected ??= elect()
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
      elected?.leave()
    },
    takeOver() {
      if (elected !== undefined) return elected.takeOver()
      waiting.abort()
      apply({ steal: true })
    },
  }
}

/** The first tab to claim leads, and repeats its claim; of two, the one with the smaller name. */
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
    // Tabs must not all claim at once when the leader has gone.
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
    takeOver: claim,
  }
}
