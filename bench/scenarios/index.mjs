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
 * @typedef {import('../lib/aims.mjs').Run} Run
 *
 * @typedef {object} RunRequest one run of a scenario
 * @property {string} subject
 * @property {number} [point]
 * @property {boolean} isQuick it only shows that the scenario works
 * @property {number} [seconds] to measure, instead of the scenario's own
 *
 * @typedef {{ head: string } & ({ digits: number, of: import('../lib/aims.mjs').Of, aboveFloor?: boolean } |
 *   { text: (runs: Run[]) => string })} Column
 *
 * @typedef {object} Scenario
 * @property {string} title
 * @property {string} what what is measured: a paragraph for the page
 * @property {Record<string, string>} subjects by name, each with what it is; ours have names that begin with `tidemark`
 * @property {string[]} peers the subjects that aims compare with
 * @property {{ unit: string, values: (isQuick: boolean) => number[] }} [points] the values of what is varied, if a curve is measured
 * @property {Column[]} columns
 * @property {import('../lib/aims.mjs').Aim[]} aims
 * @property {{ what: string, holds: (run: Run) => boolean }[]} checks what has to be right in each run of ours
 * @property {{ axis: string, of: import('../lib/aims.mjs').Of, aboveFloor?: boolean }} chart
 * @property {{ load: string, fan: number }} [live] what `--load` and `--fan` call it
 * @property {(what: RunRequest) => Promise<object>} run gives what was measured; throws `LeftOut` where a subject cannot be run
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
