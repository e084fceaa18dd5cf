// Writes the results: each scenario's runs as JSON, a chart, and one page for all scenarios that have results.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OURS, valuesOf } from '../lib/aims.mjs'
import { markdownTable, median, spread } from '../lib/statistics.mjs'
import { scenarios } from '../scenarios/index.mjs'
import { barChart, lineChart } from './chart.mjs'
import { inWords, pointsOf, resultTable, subjectsOf, verdictsOf, verdictTable } from './tables.mjs'

/**
 * All runs of one scenario.
 * @typedef {object} Results
 * @property {string} scenario its name
 * @property {string} begun ISO 8601
 * @property {boolean} isQuick
 * @property {Record<string, string | number | undefined>} machine
 * @property {import('../lib/aims.mjs').Run[]} runs
 * @property {{ subject: string, point?: number, round: number, failed: string }[]} failures
 * @property {string[]} notes what was left out, and why
 */

/** Above this load by others, in percent of a core, the runs were probably held up. */
const BUSY = 25

/** Writes one scenario's results, and the page again. @param {string} folder @param {Results} results */
export function write(folder, results) {
  mkdirSync(join(folder, 'data'), { recursive: true })
  writeFileSync(join(folder, 'data', `${results.scenario}.json`), `${JSON.stringify(results, null, 1)}\n`)
  const chart = chartOf(results)
  const picture = join(folder, `${results.scenario}.svg`)
  rmSync(picture, { force: true })
  if (chart) writeFileSync(picture, chart)
  writeFileSync(join(folder, 'README.md'), pageOf(folder))
}

/** @param {string} folder */
function pageOf(folder) {
  const files = readdirSync(join(folder, 'data')).filter((name) => name.endsWith('.json'))
  const all = files.map(
    (name) => /** @type {Results} */ (JSON.parse(readFileSync(join(folder, 'data', name), 'utf8'))),
  )
  const order = Object.keys(scenarios)
  const known = all
    .filter(({ scenario }) => scenarios[scenario])
    .toSorted((a, b) => order.indexOf(a.scenario) - order.indexOf(b.scenario))
  const summary = known.flatMap((results) => {
    const scenario = scenarioOf(results)
    return verdictsOf(scenario, results.runs).map(({ what, aim, peer, measured, isMet, point }) => [
      `[${results.scenario}](#${results.scenario})`,
      point === undefined ? what : `${what}, ${point.toLocaleString('en-US')} ${scenario.points?.unit}`,
      aim,
      peer,
      measured,
      inWords(isMet),
    ])
  })
  return `${[
    '# Results of the benchmarks',
    'Written by `npm run bench`; what is measured, and how, is in [bench/README.md](../../bench/README.md). A cell is `median [min–max]` of the rounds.',
    ...(known.some(({ isQuick }) => isQuick)
      ? ['**A quick run**: it shows that everything works, and no figures to go by.']
      : []),
    markdownTable(['scenario', 'aim', 'limit', 'better peer', 'measured', 'verdict'], summary),
    ...known.map((results) => section(results, existsSync(join(folder, `${results.scenario}.svg`)))),
  ].join('\n\n')}\n`
}

/** One scenario's results as Markdown. @param {Results} results @param {boolean} [hasPicture] */
export function section(results, hasPicture = false) {
  const { scenario: name, runs, failures, notes, begun, machine, isQuick } = results
  const scenario = scenarioOf(results)
  const others = runs.map(({ othersPercent }) => othersPercent)
  const used = Object.entries(scenario.subjects).filter(([name]) =>
    runs.some(({ subject }) => subject === name),
  )
  return [
    `## ${name}`,
    `**${scenario.title}.** ${scenario.what}`,
    `${begun.slice(0, 16).replace('T', ' ')} UTC${isQuick ? ', a quick run' : ''}. ${machineInWords(machine)} Others took ${spread(others, 0)} % of a core during the runs, ` +
      `a hypervisor ${spread(
        runs.map(({ stolenPercent }) => stolenPercent),
        0,
      )} %.`,
    ...(median(others) > BUSY ? ['**The machine was busy**: latencies say little.'] : []),
    ...(hasPicture ? [`![${scenario.title}: ${scenario.chart?.axis}](${name}.svg)`] : []),
    verdictTable(scenario, verdictsOf(scenario, runs)),
    resultTable(scenario, runs),
    used.map(([name, note]) => `* \`${name}\`: ${note}`).join('\n'),
    ...notes.map((note) => `Left out: ${note}`),
    ...failures.map(
      ({ subject, point, round, failed }) =>
        `**Failed**: ${[subject, point, `round ${round}`].filter((part) => part !== undefined).join(', ')}: ${failed}`,
    ),
  ].join('\n\n')
}

/** @param {Results['machine']} machine */
const machineInWords = ({ cores, cpu, memory, system, node, redis }) =>
  `${cores} cores of ${cpu}, ${memory} GiB, ${system}, Node.js ${node}, Redis ${redis} on loopback TCP without persistence.`

/** @param {Results} results */
function scenarioOf({ scenario }) {
  const found = scenarios[scenario]
  if (!found) throw new Error(`no scenario ${scenario}`)
  return found
}

/** @param {Results} results */
function chartOf(results) {
  const scenario = scenarioOf(results)
  const { chart, points, title } = scenario
  if (!chart || results.runs.length === 0) return undefined
  const middleOf = (/** @type {string} */ subject, /** @type {number | undefined} */ point) => {
    const here = results.runs.filter((run) => run.point === point)
    const values = [...valuesOf(chart, here, subject).values()]
    return { middle: median(values), low: Math.min(...values), high: Math.max(...values) }
  }
  const isThere = (/** @type {{ value: { middle: number } }} */ { value }) => Number.isFinite(value.middle)
  const subjects = subjectsOf(scenario, results.runs)
  const axis = chart.axis
  if (points) {
    const lines = subjects.map((label) => ({
      label,
      isOurs: label.startsWith(OURS),
      points: pointsOf(scenario, results.runs)
        .map((point) => ({ x: Number(point), value: middleOf(label, point) }))
        .filter(isThere),
    }))
    const drawn = lines.filter(({ points }) => points.length > 0)
    return drawn.length ? lineChart({ title, axis, across: points.unit, lines: drawn }) : undefined
  }
  const bars = subjects
    .map((label) => ({ label, isOurs: label.startsWith(OURS), value: middleOf(label, undefined) }))
    .filter(isThere)
  return bars.length ? barChart({ title, axis, bars }) : undefined
}
