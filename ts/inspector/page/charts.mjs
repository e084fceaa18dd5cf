// Curves as SVG: a small one beside a number, and a chart with axes.

import { el, svg, write } from './dom.mjs'
import { span } from './format.mjs'
import { KEPT_MS } from './series.mjs'

const WIDTH = 300
const HEIGHT = 100
/** The shortest time that is shown: a few points do not fill the chart. */
const LEAST_MS = 15_000

/** @typedef {import('./series.mjs').Point} Point */

/**
 * The milliseconds that are shown: as many as are known, within these limits.
 * @param {Point[]} points @param {number} now @param {number} leastMs @param {number} mostMs
 */
function windowOf(points, now, leastMs, mostMs) {
  const known = points.length === 0 ? 0 : now - points[0].at
  return Math.min(mostMs, Math.max(leastMs, known))
}

/** A curve without axes. */
export class Sparkline {
  #curve = svg('path', { class: 'curve' })
  #area = svg('path', { class: 'area' })

  /** @param {number} [mostMs] how much of the time is shown */
  constructor(mostMs = KEPT_MS) {
    this.mostMs = mostMs
    const drawing = svg(
      'svg',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      this.#area,
      this.#curve,
    )
    this.element = el('div', { class: 'spark' }, drawing)
  }

  /** @param {import('./series.mjs').Series} series @param {number} now */
  draw(series, now) {
    const kept = windowOf(series.points, now, LEAST_MS, this.mostMs)
    const points = series.points.filter(({ at }) => at >= now - kept)
    const top = Math.max(1, ...points.map(({ value }) => value)) * 1.08
    const path = pathOf(points, now, kept, top)
    this.#curve.setAttribute('d', path)
    this.#area.setAttribute('d', areaOf(points, path, now, kept))
  }
}

/** A chart: one or two curves, a scale, the current values. */
export class Chart {
  #curves
  #area = svg('path', { class: 'area' })
  #nows
  #top = el('span', { class: 'scale' })
  #since = el('span')
  #drawing

  /**
   * @param {string} title
   * @param {(value: number | null) => string} format
   * @param {{ name: string, series: import('./series.mjs').Series }[]} lines the second one is dashed
   */
  constructor(title, format, lines) {
    this.title = title
    this.format = format
    this.lines = lines
    this.#curves = lines.map((_, index) => svg('path', { class: index === 0 ? 'curve' : 'curve second' }))
    this.#nows = lines.map(() => el('span', { class: 'now' }))
    const grid = [1, 50, 99].map((y) => svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: y, y2: y }))
    this.#drawing = svg(
      'svg',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
      ...grid,
      this.#area,
      ...this.#curves.toReversed(),
    )
    this.element = el(
      'section',
      { class: 'card chart' },
      el('div', { class: 'head' }, el('h2', { text: title }), el('div', { class: 'nows' }, ...this.#nows)),
      el('div', { class: 'canvas' }, this.#drawing, this.#top),
      el('div', { class: 'axis' }, this.#since, el('span', { text: 'now' })),
    )
  }

  /** @param {number} now */
  draw(now) {
    const values = this.lines.flatMap(({ series }) => series.points.map(({ value }) => value))
    const top = niceAbove(Math.max(0, ...values))
    const kept = Math.max(
      ...this.lines.map(({ series }) => windowOf(series.points, now, 2 * LEAST_MS, KEPT_MS)),
    )
    for (const [index, { name, series }] of this.lines.entries()) {
      const path = pathOf(series.points, now, kept, top)
      this.#curves[index].setAttribute('d', path)
      if (index === 0) this.#area.setAttribute('d', areaOf(series.points, path, now, kept))
      write(this.#nows[index], `${name} ${this.format(series.last)}`)
    }
    write(this.#top, this.format(top))
    write(this.#since, `${span(kept)} ago`)
    const said = this.lines.map(({ name, series }) => `${name} ${this.format(series.last)}`).join(', ')
    this.#drawing.setAttribute('aria-label', `${this.title}, now: ${said}`)
  }
}

/** @param {number} at @param {number} now @param {number} kept */
const x = (at, now, kept) => ((at - (now - kept)) / kept) * WIDTH

/** @param {Point[]} points @param {number} now @param {number} kept @param {number} top */
function pathOf(points, now, kept, top) {
  return points
    .map(({ at, value }, index) => {
      const y = HEIGHT - 1 - (value / top) * (HEIGHT - 2)
      return `${index === 0 ? 'M' : 'L'}${x(at, now, kept).toFixed(1)} ${y.toFixed(1)}`
    })
    .join('')
}

/** @param {Point[]} points @param {string} path @param {number} now @param {number} kept */
function areaOf(points, path, now, kept) {
  const [first, last] = [points[0], points.at(-1)]
  if (first === undefined || last === undefined || first === last) return ''
  return `${path}L${x(last.at, now, kept).toFixed(1)} ${HEIGHT}L${x(first.at, now, kept).toFixed(1)} ${HEIGHT}Z`
}

/** The next 1, 2 or 5 times a power of ten. @param {number} value */
function niceAbove(value) {
  if (value <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= value) ?? value
}
