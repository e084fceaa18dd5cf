/** Longer texts are parsed by each reader: what is kept of them would be too much. */
const MAX_UNITS = 4096

/** The text that was parsed last and the seq of its chunk; once somebody else has asked for it too, what it says: nobody else's to change. */
let last = ''
let lastSeq = 0
let value: unknown
/** Whether it is an object that holds no others, as most events are. */
let isFlat = false

/**
 * A JSON text's value, the caller's own. The readers of a stream in one process get the same text one after the other: it is parsed
 * for the first two of them, and copied for the others, which costs a third.
 */
export function parse(json: string, seq: number): unknown {
  if (json.length > MAX_UNITS) return JSON.parse(json)
  // The seq first: V8 takes long to tell texts of one length apart that are pieces of others, as those of a replay are.
  if (seq !== lastSeq || json !== last) {
    value = undefined
    const own = JSON.parse(json)
    last = json
    lastSeq = seq
    return own
  }
  if (value === undefined) {
    value = JSON.parse(json)
    isFlat = isObject(value) && !Array.isArray(value) && !Object.values(value).some(isObject)
  }
  return isFlat ? { ...(value as object) } : copyOf(value)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function copyOf(value: unknown): unknown {
  if (!isObject(value)) return value
  if (Array.isArray(value)) return value.map(copyOf)
  // A spread makes properties, whatever their names are.
  const copy = { ...value } as Record<string, unknown>
  for (const name of Object.keys(copy)) {
    const property = copy[name]
    if (isObject(property)) copy[name] = copyOf(property)
  }
  return copy
}
