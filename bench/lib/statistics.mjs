// Medians with their spread, and Markdown.

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** @param {number[]} values */
export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length

/** Half the width of the mean's 95 % interval; NaN for fewer than two values. @param {number[]} values */
export function confidence(values) {
  const [middle, degrees] = [mean(values), values.length - 1]
  const variance = values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / degrees
  // Student's t at 97.5 %, to a hundredth from three degrees on.
  const t = 1.96 + 2.37 / degrees + 2.82 / degrees ** 2 + 2.56 / degrees ** 3 + 1.6 / degrees ** 4
  return degrees > 0 ? t * Math.sqrt(variance / values.length) : Number.NaN
}

/**
 * `median [min–max]`, the value alone when there is one, a dash when there is none.
 * @param {(number | null | undefined)[]} values
 * @param {number} digits after the decimal point
 */
export function spread(values, digits) {
  const numbers = values.flatMap((value) => (Number.isFinite(value) ? /** @type {number} */ (value) : []))
  if (numbers.length === 0) return '–'
  const [middle, low, high] = [median(numbers), Math.min(...numbers), Math.max(...numbers)].map((value) =>
    // Avoids "-0.0".
    (Number(value.toFixed(digits)) + 0).toLocaleString('en-US', {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    }),
  )
  return numbers.length === 1 ? `${middle}` : `${middle} [${low}–${high}]`
}

/** @param {string[]} head @param {string[][]} rows */
export function markdownTable(head, rows) {
  const line = (/** @type {string[]} */ cells) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), `|${' --- |'.repeat(head.length)}`, ...rows.map(line)].join('\n')
}
