/** Longer texts are parsed by each reader: what is kept of them would be too much. */
const MAX_UNITS = 4096

/** The text that was parsed last, and once somebody else has asked for it too, what it says; nobody else's to change. */
let last = ''
let value: unknown

/**
 * A JSON text's value, the caller's own. The readers of a stream in one process get the same text one after the other: it is parsed
 * for the first two of them, and copied for the others, which costs a third.
 */
export function parse(json: string): unknown {
  if (json.length > MAX_UNITS) return JSON.parse(json)
  if (json !== last) {
    value = undefined
    const own = JSON.parse(json)
    last = json
    return own
  }
  value ??= JSON.parse(json)
  return copyOf(value)
}

function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(copyOf)
  // A spread makes properties, whatever their names are.
  const copy = { ...value } as Record<string, unknown>
  for (const name of Object.keys(copy)) {
    const property = copy[name]
    if (typeof property === 'object' && property !== null) copy[name] = copyOf(property)
  }
  return copy
}
