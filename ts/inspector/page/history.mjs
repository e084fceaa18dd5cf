// What the page has seen of the engine since it was opened.

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

/** The connection, reading by reading. @type {{ at: number, state: string }[]} */
export const states = []

/** @type {any} */
let before

/** @param {{ engine: any, list?: any }} answer */
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
  series.memory.add(at, memory?.largestBytes > 0 ? memory.averageBytes : null)
  if (!inside) return
  series.readers.add(at, inside.readers)
  series.queued.add(at, inside.queuedBytes)
  series.rss.add(at, inside.rss)
  if (before?.inside.pid === inside.pid && at > before.at) {
    series.in.add(at, perSecond(engine, before, 'chunksIn'))
    series.out.add(at, perSecond(engine, before, 'chunksOut'))
    for (const [name, part] of /** @type {const} */ ([
      ['50', 0.5],
      ['99', 0.99],
    ])) {
      series[`append${name}`].add(at, quantile(inside.appendSeconds, before.inside.appendSeconds, part))
      series[`delivery${name}`].add(at, quantile(inside.deliverySeconds, before.inside.deliverySeconds, part))
    }
  }
  before = engine
}
