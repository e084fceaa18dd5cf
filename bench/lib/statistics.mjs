// Medians with their spread, and Markdown.

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
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
