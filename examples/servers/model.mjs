// A model that needs no key: it says the same words each time, at a natural pace.

import { setTimeout as sleep } from 'node:timers/promises'

const ANSWER =
  'Rivers remember where they have been, and a stream that is resumed goes on from where you left it.'
export const PACE_MS = Number(process.env.PACE_MS ?? 50)

/** @param {AbortSignal} signal ends the answer, as it would end the call of a real model */
export async function* answer(signal) {
  for (const word of ANSWER.split(/(?<= )/)) {
    if (signal.aborted) return
    yield word
    await sleep(PACE_MS)
  }
}
