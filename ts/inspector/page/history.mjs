// The values that the page has got since it was opened, for the charts.

import { perSecond, quantile, Series } from './series.mjs'

const names = [
  'rate',
  'active',
  'producers',
  'stored',
  'in',
  'out',
  'append50',
  'append99',
  'delivery50',
  'delivery99',
  'readers',
  'queued',
  'rss',
  'memory',
]

export const series = /** @type {Record<string, Series>} */ (
  Object.fromEntries(names.map((name) => [name, new Series()]))
)

/** The connection's state at each answer. @type {{ at: number, state: import('../answers').EngineNow['state'] }[]} */
export const states = []

/** @type {import('./series.mjs').Reading | undefined} */
let before

/** How often a view that does not show the metrics asks for them, to have them in the charts. */
const METRICS_MS = 5_000
let askedAt = Number.NEGATIVE_INFINITY

/** The `metrics` of such a view's next question. */
export function metricsNowAndThen() {
  if (performance.now() - askedAt < METRICS_MS) return undefined
  askedAt = performance.now()
  return 1
}

/** @param {import('../answers').Now & { list?: import('../answers').List }} answer */
export function record({ engine, list }) {
  const { at, inside, memory } = engine
  states.push({ at, state: engine.state })
  if (states.length > 300) states.shift()
  if (list) {
    series.rate.add(at, list.rate)
    series.active.add(at, list.active)
    series.producers.add(at, list.producers)
    series.stored.add(at, list.storedBytes)
  }
  series.memory.add(at, memory && memory.largestBytes > 0 ? memory.averageBytes : null)
  if (!inside) return
  series.readers.add(at, inside.readers)
  series.queued.add(at, inside.queuedBytes)
  series.rss.add(at, inside.rss)
  const reading = { ...engine, inside }
  if (before?.inside.pid === inside.pid && at > before.at) {
    series.in.add(at, perSecond(reading, before, 'chunksIn'))
    series.out.add(at, perSecond(reading, before, 'chunksOut'))
    for (const [name, part] of /** @type {const} */ ([
      ['50', 0.5],
      ['99', 0.99],
    ])) {
      series[`append${name}`].add(at, quantile(inside.appendSeconds, before.inside.appendSeconds, part))
      series[`delivery${name}`].add(at, quantile(inside.deliverySeconds, before.inside.deliverySeconds, part))
    }
  }
  before = reading
}
