// `npm run bench`: scenarios of Tidemark and its peers, in interleaved rounds.

import { appendFileSync, mkdirSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { findRedis } from '../scripts/redis.mjs'
import { runMain } from '../scripts/setup.mjs'
import { root, SetupError, say, seconds } from '../scripts/steps.mjs'
import { LeftOut } from './lib/left-out.mjs'
import { HELP, optionsOf } from './options.mjs'
import { section, write } from './report/page.mjs'
import { isBroken } from './report/tables.mjs'
import { scenarios } from './scenarios/index.mjs'

/** @typedef {import('./report/page.mjs').Results} Results */

const machine = {
  cores: availableParallelism(),
  cpu: cpus()[0]?.model.trim(),
  memory: Math.round(totalmem() / 2 ** 30),
  system: `${type()} ${release().split('-')[0]}`,
  node: process.versions.node,
  redis: findRedis()?.version,
}

/**
 * Each round runs every subject once at each point, and begins with another subject, so that none always follows the same one.
 * @param {string} name @param {ReturnType<typeof optionsOf>} options
 */
function* planOf(name, { rounds, isQuick, subjects: wanted }) {
  const { subjects, points } = scenarioNamed(name)
  const names = Object.keys(subjects).filter((subject) => !wanted || wanted.includes(subject))
  for (let round = 0; round < rounds; round++) {
    const first = round % Math.max(1, names.length)
    for (const point of points ? points.values(isQuick) : [undefined]) {
      for (const subject of [...names.slice(first), ...names.slice(0, first)])
        yield { scenario: name, round: round + 1, subject, ...(point !== undefined && { point }) }
    }
  }
}

/** @param {string} name */
function scenarioNamed(name) {
  const scenario = scenarios[name]
  if (!scenario) throw new SetupError(`no scenario ${name}`)
  return scenario
}

/** @param {import('./lib/aims.mjs').Run} run @param {string} name */
function summary(run, name) {
  const { columns } = scenarioNamed(name)
  const values = columns.flatMap((column) => {
    const value = 'of' in column && !column.aboveFloor ? column.of(run) : null
    return 'of' in column && Number.isFinite(value) ? [`${column.head} ${value?.toFixed(column.digits)}`] : []
  })
  return [...values.slice(0, 3), `others ${run.othersPercent.toFixed(0)} %`].join(', ')
}

await runMain(async () => {
  const options = optionsOf(process.argv.slice(2))
  if (options.help) {
    console.log(HELP)
    return 0
  }
  const begun = new Date().toISOString()
  const results = join(root, 'bench', 'results')
  mkdirSync(results, { recursive: true })
  const log = join(results, `${begun.replaceAll(/[:.]/g, '-')}.jsonl`)
  const plans = options.scenarios.map((name) => [...planOf(name, options)])
  const [total, start] = [plans.flat().length, performance.now()]
  let done = 0
  let isWrong = false

  for (const plan of plans) {
    const [head] = plan
    if (!head) continue
    /** @type {Results} */
    const own = {
      scenario: head.scenario,
      begun: new Date().toISOString(),
      isQuick: options.isQuick,
      machine,
      runs: [],
      failures: [],
      notes: [],
    }
    for (const what of plan) {
      const { scenario: name, ...which } = what
      process.stderr.write(
        `[${++done}/${total}] ${name}${which.point === undefined ? '' : ` ${which.point}`}, round ${which.round}/${options.rounds}: ${which.subject} … `,
      )
      const outcome = await scenarioNamed(name)
        .run({ ...which, isQuick: options.isQuick, ...(options.seconds && { seconds: options.seconds }) })
        .catch((error) => /** @type {Error} */ (error))
      if (outcome instanceof LeftOut) {
        own.notes.push(`\`${which.subject}\`: ${outcome.message}`)
        say(`left out: ${outcome.message}`)
        continue
      }
      const isFailure = outcome instanceof Error
      const result = isFailure ? { failed: outcome.message } : outcome
      appendFileSync(log, `${JSON.stringify({ begun, machine, ...what, ...result })}\n`)
      if (isFailure) {
        own.failures.push({ ...which, failed: outcome.message })
        say(`FAILED: ${outcome.stack}`)
      } else {
        const run = /** @type {import('./lib/aims.mjs').Run} */ ({ ...which, ...outcome })
        own.runs.push(run)
        say(`${summary(run, name)} (${seconds(start)} so far)`)
      }
    }
    own.notes = [...new Set(own.notes)]
    write(resolve(root, options.out), own)
    console.log(`${section(own)}\n`)
    isWrong ||= own.failures.length > 0 || isBroken(scenarioNamed(head.scenario), own.runs)
  }
  console.log(`Tables and charts: ${options.out}. Each run: ${relative(root, log)}`)
  return isWrong ? 1 : 0
})
