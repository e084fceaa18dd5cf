// `npm run bench -- [options]`: the live fan-out of Tidemark and its peers, in interleaved rounds.

import { appendFileSync, existsSync, mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findRedis } from '../scripts/redis.mjs'
import { runMain } from '../scripts/setup.mjs'
import { hashOf, isStamped, root, run, runSteps, SetupError, say, stamp } from '../scripts/steps.mjs'
import { loads } from './live/load.mjs'
import { runOnce } from './live/once.mjs'
import { report } from './live/report.mjs'
import { subjects } from './subjects/index.mjs'

const HELP = `npm run bench -- [options]

  --rounds <n>        how often each subject is run (5)
  --load <name,…>     how the chunks come: ${Object.keys(loads).join(',')}
  --fan <n,…>         readers of each stream (1,10)
  --subjects <name,…> ${Object.keys(subjects).join(',')}
  --seconds <n>       measured in each run, after a warm-up (5)`

const here = fileURLToPath(new URL('.', import.meta.url))

/** @param {string[]} args */
function optionsOf(args) {
  const { rounds, fan, seconds, help, ...rest } = parsed(args)
  const known = (/** @type {string} */ what, /** @type {string} */ value, /** @type {object} */ all) => {
    const names = value.split(',')
    const unknown = names.find((name) => !Object.hasOwn(all, name))
    if (unknown !== undefined) throw new SetupError(`no ${what} ${unknown}; there are ${Object.keys(all)}`)
    return names
  }
  const whole = (/** @type {string} */ value, /** @type {string} */ name) => {
    if (!/^[1-9]\d*$/.test(value)) throw new SetupError(`--${name} takes whole numbers above 0, not ${value}`)
    return Number(value)
  }
  return {
    help,
    rounds: whole(rounds, 'rounds'),
    fans: fan.split(',').map((value) => whole(value, 'fan')),
    loads: known('load', rest.load, loads),
    subjects: known('subject', rest.subjects, subjects),
    seconds: whole(seconds, 'seconds'),
  }
}

/** @param {string[]} args */
function parsed(args) {
  try {
    return parseArgs({
      args,
      options: {
        rounds: { type: 'string', default: '5' },
        load: { type: 'string', default: Object.keys(loads).join(',') },
        fan: { type: 'string', default: '1,10' },
        subjects: { type: 'string', default: Object.keys(subjects).join(',') },
        seconds: { type: 'string', default: '5' },
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new SetupError(`${/** @type {Error} */ (error).message}\n\n${HELP}`)
  }
}

/** The peers are this folder's own packages: the product's package.json stays clean of them. */
const peers = {
  name: 'peers of the benchmark',
  pending: () =>
    existsSync(join(here, 'node_modules')) && isStamped('bench-peers', hashOf(['bench/package-lock.json']))
      ? undefined
      : 'npm ci',
  async run() {
    const hash = hashOf(['bench/package-lock.json'])
    await run('npm', ['ci', '--prefix', 'bench', '--no-audit', '--no-fund', '--loglevel=error'])
    stamp('bench-peers', hash)
  },
}

/**
 * In each round every subject is run once for each load and fan; each round begins with another subject, so that none always
 * follows the same one.
 * @param {ReturnType<typeof optionsOf>} options
 */
function* planOf({ rounds, loads, fans, subjects }) {
  const cases = loads.flatMap((load) => fans.map((fan) => ({ load, fan })))
  for (let round = 0; round < rounds; round++) {
    const first = round % subjects.length
    for (const what of cases) {
      for (const subject of [...subjects.slice(first), ...subjects.slice(0, first)])
        yield { round: round + 1, ...what, subject }
    }
  }
}

/** @param {import('./live/once.mjs').Run} run */
function summary({ p50, p99, publisherUs, readerUs, complete, readers, othersPercent }) {
  const main = `main thread: publisher ${publisherUs.toFixed(1)} µs, reader ${readerUs.toFixed(2)} µs`
  if (p50 === null) return main
  return `p50 ${p50.toFixed(2)} ms, p99 ${p99?.toFixed(1)} ms, ${main}, ${complete} of ${readers} readers complete, others ${othersPercent.toFixed(0)} %`
}

await runMain(async () => {
  const options = optionsOf(process.argv.slice(2))
  if (options.help) {
    console.log(HELP)
    return 0
  }
  await runSteps([peers])

  const machine = {
    cores: availableParallelism(),
    node: process.version,
    redis: findRedis()?.version,
  }
  const begun = new Date().toISOString()
  mkdirSync(join(here, 'results'), { recursive: true })
  const file = join(here, 'results', `live-${begun.replaceAll(/[:.]/g, '-')}.jsonl`)
  /** @type {import('./live/targets.mjs').Record[]} */
  const records = []
  /** @type {import('./live/report.mjs').Failure[]} */
  const failures = []
  for (const what of planOf(options)) {
    process.stderr.write(
      `round ${what.round}/${options.rounds}  ${what.load}, fan ${what.fan}  ${what.subject} … `,
    )
    const outcome = await runOnce({ ...what, seconds: options.seconds }).catch((error) => ({
      failed: String(error),
    }))
    appendFileSync(file, `${JSON.stringify({ bench: 'live', begun, machine, ...what, ...outcome })}\n`)
    if ('failed' in outcome) {
      failures.push({ ...what, ...outcome })
      say(outcome.failed)
    } else {
      records.push({ ...what, ...outcome })
      say([summary(outcome), ...outcome.errors].join('\n  '))
    }
  }

  const bySubject = (/** @type {{ subject: string }} */ { subject }) => options.subjects.indexOf(subject)
  console.log(
    [
      `Machine: ${machine.cores} cores, Node ${machine.node}, Redis ${machine.redis}.`,
      report(
        records.toSorted((a, b) => bySubject(a) - bySubject(b)),
        failures,
      ),
      `Raw results: ${relative(root, file)}`,
    ].join('\n\n'),
  )
  return failures.length > 0 ? 1 : 0
})
