// Streams that a pattern matches may be created by processes that know of no subscription. So servers take turns to go through the list
// of all streams, again and again, a page at a time. Where they are is a reminder.

import type { Engine } from '../../core/engine'
import { FIRST, type ListCursor } from '../../core/pages'
import type { Reminder } from '../../native/native'
import { setImmediate } from '../../util/timers'

export const ROUND = 'round'

const PAGE = 256
/** From one page to the next, … */
const PACE_MS = 250
/** … from one round to the next, … */
const REST_MS = 15_000
/** … and while there is no pattern. */
const IDLE_MS = 60_000

/** Begins the first round, if it was not begun yet. */
export async function beginRounds(engine: Engine, now: number): Promise<void> {
  await engine.reminders.change({
    key: ROUND,
    expected: 0,
    value: JSON.stringify(FIRST),
    due: now + PACE_MS,
    isNews: false,
  })
}

/** Takes the next page. */
export async function goRound(
  engine: Engine,
  { key, version, value }: Reminder,
  now: number,
  hasPatterns: boolean,
  found: (path: string) => void,
): Promise<void> {
  const from = JSON.parse(value) as ListCursor
  const page = hasPatterns ? await engine.listed(from, PAGE) : { ids: [], next: null }
  for (const id of page.ids) {
    found(id)
    // Each is compared with all patterns.
    await new Promise((resolve) => setImmediate(resolve))
  }
  const pause = hasPatterns ? (page.next === null ? REST_MS : PACE_MS) : IDLE_MS
  const next = JSON.stringify(page.next ?? FIRST)
  await engine.reminders.change({ key, expected: version, value: next, due: now + pause, isNews: false })
}
