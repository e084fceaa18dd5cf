/** Any one segment. */
const ONE = 1
/** Any number of segments. */
const MANY = 2

type Part = string | typeof ONE | typeof MANY

/** Matches streams' paths: `*` is one segment, `**` any number of segments, none included. */
export function matcher(pattern: string): (path: string) => boolean {
  const parts = pattern.split('/').map(partOf)
  const stars = parts.findIndex((part) => typeof part !== 'string')
  // Most paths differ in front of the first star.
  const head = parts.slice(0, stars < 0 ? parts.length : stars).join('/')
  return (path) => path.startsWith(head) && matches(parts, path.split('/'))
}

function partOf(text: string): Part {
  if (text === '*') return ONE
  return text === '**' ? MANY : text.replace(/%2a/gi, '*')
}

/** Where a segment does not fit, the last `**` takes one more: earlier ones need not, so this is never longer than both lengths multiplied. */
function matches(parts: readonly Part[], segments: readonly string[]): boolean {
  let part = 0
  let segment = 0
  let many = -1
  let taken = 0
  while (segment < segments.length) {
    const wanted = parts[part]
    if (wanted === MANY) {
      many = part++
      taken = segment
    } else if (wanted === ONE || wanted === segments[segment]) {
      part += 1
      segment += 1
    } else {
      if (many < 0) return false
      part = many + 1
      segment = ++taken
    }
  }
  while (parts[part] === MANY) part += 1
  return part === parts.length
}
