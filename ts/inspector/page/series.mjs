// Values over time, and rates and quantiles from two readings of counters.

/** How long values are kept. */
export const KEPT_MS = 5 * 60_000

export class Series {
  /** @type {Point[]} */
  points = []

  /** @param {number} at @param {number | null | undefined} value */
  add(at, value) {
    if (value == null || !Number.isFinite(value)) return
    this.points.push({ at, value })
    while (this.points.length > 0 && this.points[0].at < at - KEPT_MS) this.points.shift()
  }

  get last() {
    return this.points.at(-1)?.value ?? null
  }
}

/** @typedef {{ at: number, value: number }} Point */
/** @typedef {import('../answers').EngineNow & { inside: import('../answers').Inside }} Reading */

/**
 * How fast a counter rose between two readings, per second.
 * @param {Reading} now @param {Reading} before @param {'chunksIn' | 'chunksOut'} name
 */
export function perSecond(now, before, name) {
  const seconds = (now.at - before.at) / 1000
  return seconds <= 0 ? null : Math.max(0, (now.inside[name] - before.inside[name]) / seconds)
}

/**
 * A quantile of the durations that were added between two readings of a histogram, in seconds; null if there were none.
 * @param {{ buckets: { le: number, count: number }[], count: number }} now
 * @param {{ buckets: { le: number, count: number }[], count: number }} before
 * @param {number} part
 */
export function quantile(now, before, part) {
  const total = now.count - before.count
  if (total <= 0) return null
  const wanted = total * part
  let [below, floor] = [0, 0]
  for (const [index, { le, count }] of now.buckets.entries()) {
    const within = count - before.buckets[index].count
    if (within >= wanted) {
      const share = within === below ? 1 : (wanted - below) / (within - below)
      return floor + (le - floor) * share
    }
    below = within
    floor = le
  }
  return floor
}
