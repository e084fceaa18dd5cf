import { subscribe } from 'node:diagnostics_channel'
import type { LogEntry } from '../../index'
import type { Glance } from '../core/glance'
import type { TimelineEvent } from './answers'

const MOST = 1_000

/** The latest events of all streams. */
export class History {
  #all: TimelineEvent[] = []

  add(event: TimelineEvent): void {
    this.#all.push(event)
    if (this.#all.length > 2 * MOST) this.#all = this.#all.slice(-MOST)
  }

  of(streamId: string): TimelineEvent[] {
    return this.#all.filter((each) => each.streamId === streamId)
  }

  /** Adds the events that lie between two states of a stream. */
  compare(before: Glance, now: Glance, at: number): void {
    const { streamId, generation, state, producers } = now
    const add = (kind: TimelineEvent['kind'], text: string) =>
      this.add({ at, streamId, generation, kind, text })
    if (before.generation !== generation) {
      const isTakeover = before.state === 'active'
      if (isTakeover) add('takeover', 'taken over while it was active, or started again between two looks')
      else add('start', `started again after it was ${before.state}`)
    }
    const isSame = before.generation === generation
    if (isSame && before.producers !== producers && state === 'active')
      add('producers', `${before.producers} → ${producers} producers`)
    if (now.stop !== null && (!isSame || before.stop === null))
      add('stop', reasoned('stop asked for', now.stop))
    if (state !== 'active' && (!isSame || before.state === 'active')) add('end', reasoned(state, now.reason))
  }
}

export function reasoned(what: string, reason: string | null): string {
  return reason ? `${what}: ${reason}` : what
}

/** Log entries about streams from all engines of this process, shared by its inspectors. */
const entries: TimelineEvent[] = []
let isListening = false

/** Starts to collect log entries; does nothing if called again. */
export function listen(): void {
  if (isListening) return
  isListening = true
  subscribe('tidemark:log', (message) => {
    const { time, streamId, generation, message: text, cause } = message as LogEntry
    if (streamId === undefined) return
    const happening = { at: time, streamId, generation: generation ?? null, kind: 'log' } as const
    entries.push({ ...happening, text: reasoned(text, cause ?? null) })
    if (entries.length > MOST) entries.shift()
  })
}

/** The log entries about a stream, including those about streams of the same id in other stores or prefixes. */
export function logged(streamId: string): TimelineEvent[] {
  return entries.filter((each) => each.streamId === streamId)
}
