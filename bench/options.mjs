// What `npm run bench` is asked for.

import { parseArgs } from 'node:util'
import { SetupError } from '../scripts/steps.mjs'
import { scenarios } from './scenarios/index.mjs'

const NAMES = Object.keys(scenarios)
const LIVE = Object.values(scenarios).flatMap(({ live }) => live ?? [])

export const HELP = `npm run bench -- [scenario …] [options]

  --only <name,…>     scenarios, as without the option: ${NAMES.join(', ')}
  --quick             everything once and short, in some 3 minutes: shows that it works, and no figures to go by
  --rounds <n>        how often each subject is run (5)
  --subjects <name,…> only these
  --seconds <n>       measured in each live run
  --out <folder>      where tables and charts go (docs/benchmarks; bench/results/report after --quick and --subjects)
  --load, --fan       live scenarios by what is special about them: ${LIVE.map(({ load, fan }) => `${load} ${fan}`).join(', ')}`

/** @param {string[]} args */
export function optionsOf(args) {
  const { values, positionals } = parsed(args)
  const { help, quick: isQuick, rounds, seconds, subjects, out, load, fan } = values
  const asked = [...positionals, ...list(values.only)]
  const live = NAMES.filter((name) => {
    const own = scenarios[name]?.live
    const isOf = (/** @type {string | undefined} */ wanted, /** @type {unknown} */ value) =>
      !wanted || list(wanted).includes(`${value}`)
    return own && (load || fan) && isOf(load, own.load) && isOf(fan, own.fan)
  })
  if ((load || fan) && live.length === 0)
    throw new SetupError(`no scenario has this load and fan; there are ${HELP.split('about them: ')[1]}`)
  const names = [...asked, ...live]
  const scenariosAsked = names.length > 0 ? NAMES.filter((name) => names.includes(name)) : NAMES
  refuseUnknown('scenario', asked, NAMES)
  const known = [...new Set(scenariosAsked.flatMap((name) => Object.keys(scenarios[name]?.subjects ?? {})))]
  refuseUnknown('subject', list(subjects), known)
  return {
    help,
    isQuick,
    scenarios: scenariosAsked,
    rounds: rounds === undefined ? (isQuick ? 1 : 5) : whole(rounds, 'rounds'),
    seconds: seconds === undefined ? undefined : whole(seconds, 'seconds'),
    subjects: subjects === undefined ? undefined : list(subjects),
    out: out ?? (isQuick || subjects ? 'bench/results/report' : 'docs/benchmarks'),
  }
}

/** @param {string[]} args */
function parsed(args) {
  try {
    const text = /** @type {const} */ ({ type: 'string' })
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        only: text,
        quick: { type: 'boolean', default: false },
        rounds: text,
        seconds: text,
        subjects: text,
        out: text,
        load: text,
        fan: text,
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new SetupError(`${/** @type {Error} */ (error).message}\n\n${HELP}`)
  }
}

/** @param {string | undefined} value */
const list = (value) => value?.split(',') ?? []

/** @param {string} what @param {string[]} names @param {string[]} all */
function refuseUnknown(what, names, all) {
  const unknown = names.find((name) => !all.includes(name))
  if (unknown !== undefined) throw new SetupError(`no ${what} ${unknown}; there are ${all.join(', ')}`)
}

/** @param {string} value @param {string} name */
function whole(value, name) {
  if (!/^[1-9]\d*$/.test(value)) throw new SetupError(`--${name} takes whole numbers above 0, not ${value}`)
  return Number(value)
}
