/** Matches streams' paths: `*` is one segment, `**` any number of segments, none included. */
export function matcher(pattern: string): (path: string) => boolean {
  const parts = pattern.split('/')
  return (path) => matches(parts, path.split('/'))
}

/** The places in the pattern that the path's segments so far can have led to: linear, whatever the pattern. */
function matches(parts: readonly string[], segments: readonly string[]): boolean {
  let places = reach(parts, new Set([0]))
  for (const segment of segments) {
    const next = new Set<number>()
    for (const place of places) {
      const part = parts[place]
      if (part === '**') next.add(place)
      else if (part === '*' || part?.replace(/%2a/gi, '*') === segment) next.add(place + 1)
    }
    places = reach(parts, next)
    if (places.size === 0) return false
  }
  return places.has(parts.length)
}

/** Adds the places behind each `**`, which may match nothing. */
function reach(parts: readonly string[], places: Set<number>): Set<number> {
  for (const place of places) if (parts[place] === '**') places.add(place + 1)
  return places
}
