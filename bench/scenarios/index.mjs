// All scenarios, by name, in the order in which they are run and reported.

import { apart } from './apart.mjs'
import { burst, burst500 } from './burst.mjs'
import { burstMany } from './burst-many.mjs'
import { chats } from './chats.mjs'
import { delay } from './delay.mjs'
import { fan } from './fan.mjs'
import { idle } from './idle.mjs'
import { inspector } from './inspector.mjs'
import { live } from './live.mjs'
import { many } from './many.mjs'
import { memory } from './memory.mjs'
import { replay } from './replay.mjs'
import { resumes } from './resumes.mjs'
import { route } from './route.mjs'
import { sse } from './sse.mjs'
import { streams } from './streams.mjs'

/**
 * @typedef {import('../lib/judge.mjs').Run} Run
 *
 * @typedef {object} What one run
 * @property {string} subject
 * @property {number} [point]
 * @property {boolean} isQuick whether it is only to show that it works
 * @property {number} [seconds] measured, in place of the scenario's own
 *
 * @typedef {{ head: string } & ({ digits: number, of: import('../lib/judge.mjs').Of, aboveFloor?: boolean } |
 *   { text: (runs: Run[]) => string })} Column
 *
 * @typedef {object} Scenario
 * @property {string} title
 * @property {string} what says what is measured, for the page
 * @property {Record<string, string>} subjects by name, each with what it is; ours have names that begin with `tidemark`
 * @property {string[]} peers the subjects that aims compare with
 * @property {{ unit: string, values: (isQuick: boolean) => number[] }} [points] what is run several times, as a curve
 * @property {Column[]} columns
 * @property {import('../lib/judge.mjs').Aim[]} aims
 * @property {{ what: string, holds: (run: Run) => boolean }[]} checks what has to be right in each run of ours
 * @property {{ axis: string, of: import('../lib/judge.mjs').Of, aboveFloor?: boolean }} chart
 * @property {{ load: string, fan: number }} [live] names that `--load` and `--fan` have for it
 * @property {(what: What) => Promise<object>} run gives what was measured; throws `LeftOut` where a subject cannot be run
 */

/** @type {Record<string, Scenario>} */
export const scenarios = {
  live,
  apart,
  route,
  fan,
  many,
  idle,
  burst,
  'burst-500': burst500,
  'burst-many': burstMany,
  replay,
  resumes,
  sse,
  memory,
  streams,
  chats,
  delay,
  inspector,
}
