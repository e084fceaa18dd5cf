/**
 * Exports an engine's metrics to OpenTelemetry.
 *
 * ```ts
 * import { observe } from 'tidemark/opentelemetry'
 *
 * const stop = observe(engine)
 * ```
 *
 * @packageDocumentation
 */

import { type Attributes, type Meter, metrics, type Observable } from '@opentelemetry/api'
import type { Engine, Metrics } from '../index'
import { FAMILIES, type Family } from './core/metrics'

export interface ObserveOptions {
  /** Default: `metrics.getMeter('tidemark')`. */
  meter?: Meter | undefined
  /** Added to every observation; distinguishes the engines of one process. */
  attributes?: Attributes | undefined
}

/**
 * Registers observable instruments that read `engine.metrics()` whenever metrics are collected, until the returned
 * function is called or the engine is closed. They have the names of the Prometheus metrics, without `_total`, so that
 * dashboards work for both; a histogram is its three counters `_bucket`, `_sum` and `_count`.
 */
export function observe(engine: Engine, options: ObserveOptions = {}): () => void {
  const meter = options.meter ?? metrics.getMeter('tidemark')
  const shown = FAMILIES.map((family) => show(meter, family))
  const instruments = shown.flatMap(({ instruments }) => instruments)
  const attributes = options.attributes ?? {}
  const read: Parameters<Meter['addBatchObservableCallback']>[0] = (result) => {
    if (engine.state === 'closed') return stop()
    const now = engine.metrics()
    for (const { values } of shown) {
      for (const [instrument, value, label] of values(now)) {
        result.observe(instrument, value, { ...attributes, ...label })
      }
    }
  }
  const stop = (): void => meter.removeBatchObservableCallback(read, instruments)
  meter.addBatchObservableCallback(read, instruments)
  return stop
}

type Value = readonly [Observable, number, Attributes]

interface Shown {
  instruments: Observable[]
  values: (now: Metrics) => Value[]
}

function show(meter: Meter, family: Family): Shown {
  const name = family.name.replace(/_total$/, '')
  const options = { description: family.help, unit: unit(name) }
  if (family.type === 'histogram') {
    const bucket = meter.createObservableCounter(`${name}_bucket`, { description: family.help })
    const count = meter.createObservableCounter(`${name}_count`, { description: family.help })
    const sum = meter.createObservableCounter(`${name}_sum`, options)
    return {
      instruments: [bucket, count, sum],
      values: (now) => {
        const histogram = family.of(now)
        const all = { le: Number.POSITIVE_INFINITY, count: histogram.count }
        const le = (bound: number): string => (bound === all.le ? '+Inf' : String(bound))
        return [
          ...[...histogram.buckets, all].map((each): Value => [bucket, each.count, { le: le(each.le) }]),
          [count, histogram.count, {}],
          [sum, histogram.sum, {}],
        ]
      },
    }
  }
  const instrument =
    family.type === 'counter'
      ? meter.createObservableCounter(name, options)
      : meter.createObservableGauge(name, options)
  const label = family.label
  return {
    instruments: [instrument],
    values: (now) =>
      family
        .of(now)
        .map(
          ([value, text]): Value => [
            instrument,
            value,
            label === undefined || text === undefined ? {} : { [label]: text },
          ],
        ),
  }
}

function unit(name: string): string {
  if (name.endsWith('_bytes')) return 'By'
  return name.endsWith('_seconds') ? 's' : '1'
}
