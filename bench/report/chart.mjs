// Charts as SVG that is read by people and in reviews: plain, with words on the axes, on a card of its own colour that follows the
// reader's preference for light or dark.

const WIDTH = 720
const FONT = 13
const MARGIN = { top: 44, right: 24, bottom: 46 }
const TICKS = 5
const ROW = 30

const STYLE = `
    .card { fill: #ffffff } text { fill: #24292f; font: ${FONT}px system-ui, sans-serif } .title { font-weight: 600; font-size: 15px }
    .grid { stroke: #d0d7de } .range { stroke: #57606a; stroke-width: 1.5; fill: none } .axis { stroke: #57606a }
    .c0 { fill: #0969da; stroke: #0969da } .c1 { fill: #bc4c00; stroke: #bc4c00 } .c2 { fill: #1a7f37; stroke: #1a7f37 }
    .c3 { fill: #8250df; stroke: #8250df } .c4 { fill: #8c6400; stroke: #8c6400 } .line { fill: none; stroke-width: 2 } .peer { fill: #8c959f }
    @media (prefers-color-scheme: dark) {
      .card { fill: #161b22 } text { fill: #e6edf3 } .grid { stroke: #30363d } .range, .axis { stroke: #9ea7b3 }
      .c0 { fill: #58a6ff; stroke: #58a6ff } .c1 { fill: #f0883e; stroke: #f0883e } .c2 { fill: #56d364; stroke: #56d364 }
      .c3 { fill: #bc8cff; stroke: #bc8cff } .c4 { fill: #e3b341; stroke: #e3b341 } .line { fill: none } .peer { fill: #6e7681 }
    }`

/**
 * @typedef {{ middle: number, low: number, high: number }} Value median and range
 * @typedef {{ label: string, isOurs: boolean, value: Value }} Bar
 * @typedef {{ label: string, isOurs: boolean, points: { x: number, value: Value }[] }} Line
 */

/** Bars from zero, with their ranges. @param {{ title: string, axis: string, bars: Bar[] }} chart */
export function barChart({ title, axis, bars }) {
  const left = 40 + Math.max(...bars.map(({ label }) => label.length)) * FONT * 0.56
  const bottom = MARGIN.top + bars.length * ROW
  const top = niceCeiling(Math.max(...bars.map(({ value }) => value.high)))
  const x = (/** @type {number} */ value) => left + (value / top) * (WIDTH - left - MARGIN.right - 60)
  const grid = ticks(top).map((value) =>
    [
      `<line class="grid" x1="${n(x(value))}" x2="${n(x(value))}" y1="${MARGIN.top}" y2="${bottom}"/>`,
      `<text x="${n(x(value))}" y="${bottom + 18}" text-anchor="middle">${words(value)}</text>`,
    ].join(''),
  )
  const rows = bars.map(({ label, isOurs, value }, index) => {
    const middle = MARGIN.top + (index + 0.5) * ROW
    return [
      `<text x="${n(left - 8)}" y="${n(middle + 4)}" text-anchor="end">${escaped(label)}</text>`,
      `<rect class="${isOurs ? 'c0' : 'peer'}" x="${n(left)}" y="${n(middle - 9)}" width="${n(x(value.middle) - left)}" height="18"/>`,
      `<path class="range" d="M${n(x(value.low))} ${n(middle)}H${n(x(value.high))}m0 -5v10M${n(x(value.low))} ${n(middle - 5)}v10"/>`,
      `<text x="${n(x(value.high) + 8)}" y="${n(middle + 4)}">${words(value.middle)}</text>`,
    ].join('')
  })
  return svg(title, bottom + MARGIN.bottom, [
    ...grid,
    ...rows,
    `<line class="axis" x1="${n(left)}" x2="${n(left)}" y1="${MARGIN.top}" y2="${bottom}"/>`,
    `<text x="${n((left + WIDTH) / 2)}" y="${bottom + 38}" text-anchor="middle">${escaped(axis)}</text>`,
  ])
}

/** Lines over a logarithmic axis, from zero. @param {{ title: string, axis: string, across: string, lines: Line[] }} chart */
export function lineChart({ title, axis, across, lines }) {
  const [left, right, bottom] = [64, WIDTH - 190, 320]
  const points = lines.flatMap((line) => line.points)
  const xs = [...new Set(points.map(({ x }) => x))].toSorted((a, b) => a - b)
  const top = niceCeiling(Math.max(...points.map(({ value }) => value.high)))
  const place = (/** @type {number} */ x) =>
    left + ((xs.indexOf(x) + 0.5) / Math.max(1, xs.length)) * (right - left)
  const y = (/** @type {number} */ value) => bottom - (value / top) * (bottom - MARGIN.top)
  const grid = ticks(top).map((value) =>
    [
      `<line class="grid" x1="${left}" x2="${right}" y1="${n(y(value))}" y2="${n(y(value))}"/>`,
      `<text x="${left - 8}" y="${n(y(value) + 4)}" text-anchor="end">${words(value)}</text>`,
    ].join(''),
  )
  const names = xs.map(
    (x) => `<text x="${n(place(x))}" y="${bottom + 18}" text-anchor="middle">${words(x)}</text>`,
  )
  // Ours has the same colour in every chart.
  const sorted = lines.toSorted((a, b) => Number(b.isOurs) - Number(a.isOurs))
  const drawn = sorted.map(({ label, points }, index) => {
    const path = points.map(({ x, value }) => `${n(place(x))} ${n(y(value.middle))}`).join('L')
    const marks = points.map(
      ({ x, value }) =>
        `<path class="range" d="M${n(place(x))} ${n(y(value.low))}V${n(y(value.high))}"/>` +
        `<circle class="c${index % 5}" cx="${n(place(x))}" cy="${n(y(value.middle))}" r="3.5"/>`,
    )
    const key = MARGIN.top + 12 + index * 22
    return [
      `<path class="line c${index % 5}" style="fill:none" d="M${path}"/>`,
      ...marks,
      `<rect class="c${index % 5}" x="${right + 16}" y="${key - 9}" width="10" height="10"/>`,
      `<text x="${right + 32}" y="${key}">${escaped(label)}</text>`,
    ].join('')
  })
  return svg(title, bottom + MARGIN.bottom, [
    ...grid,
    ...names,
    ...drawn,
    `<line class="axis" x1="${left}" x2="${right}" y1="${bottom}" y2="${bottom}"/>`,
    `<text x="${n((left + right) / 2)}" y="${bottom + 38}" text-anchor="middle">${escaped(across)}</text>`,
    `<text transform="translate(16 ${n((MARGIN.top + bottom) / 2)}) rotate(-90)" text-anchor="middle">${escaped(axis)}</text>`,
  ])
}

/** @param {string} title @param {number} height @param {string[]} parts */
function svg(title, height, parts) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
  <title>${escaped(title)}</title>
  <style>${STYLE}
  </style>
  <rect class="card" width="100%" height="100%" rx="6"/>
  <text class="title" x="20" y="26">${escaped(title)}</text>
${parts.map((part) => `  ${part}`).join('\n')}
</svg>
`
}

/** The next number that five ticks divide well. @param {number} value */
function niceCeiling(value) {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return ([1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value) ?? 10) * power
}

/** @param {number} top */
const ticks = (top) => Array.from({ length: TICKS + 1 }, (_, index) => (top * index) / TICKS)

/** A number that is short enough for an axis. @param {number} value */
function words(value) {
  if (value >= 1_000_000) return `${Number((value / 1_000_000).toPrecision(3))} M`
  if (value >= 10_000) return `${Number((value / 1_000).toPrecision(3))} k`
  return Number(value.toPrecision(3)).toLocaleString('en-US')
}

/** @param {number} value */
const n = (value) => Number(value.toFixed(1))

/** @param {string} text */
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
