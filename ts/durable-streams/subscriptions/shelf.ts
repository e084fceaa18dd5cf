// Where subscriptions are kept: each is a reminder. A change is made of what is there, and made again if that has changed meanwhile.

import type { Reminders } from '../../core/reminders'
import type { Reminder } from '../../native/native'
import { setTimeout } from '../../util/timers'
import { Refusal } from '../answers'
import { keyOf, read, written } from './record'
import { dueAt, type Subscription } from './state'

/** A subscription that nothing is known to be due of is looked at again after this. */
export const LOOK_MS = 15_000
/** How often a change is tried that others come before. */
const ATTEMPTS = 50
const MOST_BYTES = 256 * 1024

/** A change: what is to be there (null: nothing; undefined: what was there), and the answer to whoever makes it. */
export interface Step<T> {
  next?: Subscription | null | undefined
  answer: T
  /** Whether other servers have to know before they look at it. */
  isNews?: boolean
}

export type Change<T> = (subscription: Subscription | null, now: number) => Step<T> | Promise<Step<T>>

/** Called after a change, with how long it is until something is due. */
export type OnChange = (
  id: string,
  after: Subscription | null,
  before: Subscription | null,
  inMs: number,
) => void

export class Shelf {
  readonly #reminders: Reminders
  readonly #onChange: OnChange

  constructor(reminders: Reminders, onChange: OnChange) {
    this.#reminders = reminders
    this.#onChange = onChange
  }

  async get(id: string): Promise<Subscription | null> {
    const { reminders } = await this.#reminders.recall([keyOf(id)])
    return reminders[0] ? read(reminders[0].value) : null
  }

  async change<T>(id: string, change: Change<T>): Promise<T> {
    const key = keyOf(id)
    const recalled = await this.#reminders.recall([key])
    let { now } = recalled
    let found: Reminder | null = recalled.reminders[0] ?? null
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const before = found && read(found.value)
      const { next, answer, isNews = false } = await change(before, now)
      if (next === undefined || next === before) return answer
      const value = next && written(next)
      if (value !== null && Buffer.byteLength(value) > MOST_BYTES) throw crowded()
      const due = (next && dueAt(next)) ?? now + LOOK_MS
      const done = await this.#reminders.change({ key, expected: found?.version ?? 0, value, due, isNews })
      now = done.now
      if (done.outcome === 'done') {
        this.#onChange(id, next, before, due - now)
        return answer
      }
      if (done.outcome === 'full') {
        throw new Refusal(409, 'TOO_MANY_SUBSCRIPTIONS', 'there are as many subscriptions as there can be')
      }
      found = done.reminder
      // Many who change the same thing would go on to meet each other.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(attempt * 4, 100)))
    }
    throw new Refusal(503, 'UNAVAILABLE', 'too many others change the subscription', { 'Retry-After': '1' })
  }
}

export function crowded(): Refusal {
  return new Refusal(409, 'TOO_MANY_STREAMS', 'the subscription would have more streams than it can')
}
