type Chunk = Readonly<Record<string, unknown>>

/** The part that a chunk with this type begins, if each such chunk makes a new one. */
const BEGINS: ReadonlyMap<string, string> = new Map([
  ['start-step', 'step-start'],
  ['text-start', 'text'],
  ['reasoning-start', 'reasoning'],
])

/**
 * Makes a filter for the chunks of an answer that is sent from its beginning to a reader that adds them to this message. It leaves out
 * what the message has, by the order of its parts; calls have ids, and are not made twice.
 */
export function unrepeated(message: { id: string; parts: readonly unknown[] }): (chunk: Chunk) => Chunk[] {
  const known = new Map<unknown, Chunk[]>()
  for (const part of message.parts as readonly (Chunk | null)[]) {
    if (part === null || (part?.id != null && `${part.type}`.startsWith('data-'))) continue
    known.set(part.type, [...(known.get(part.type) ?? []), part])
  }
  /** The texts that have begun, and of which nothing has been sent yet. */
  const held = new Map<string, { start: Chunk; had: string; text: string }>()
  let isOther = false
  return (chunk) => {
    const type = `${chunk.type}`
    if (type === 'start') isOther = chunk.messageId != null && chunk.messageId !== message.id
    if (isOther) return [chunk]
    const [kind, what] = type.split('-')
    const name = `${kind} ${chunk.id}`
    const begun = held.get(name)
    if (begun !== undefined && what === 'delta') {
      begun.text += chunk.delta
      const { start, had, text } = begun
      if (had.startsWith(text)) return []
      held.delete(name)
      return [start, { ...chunk, delta: text.startsWith(had) ? text.slice(had.length) : text }]
    }
    if (begun !== undefined && what === 'end') {
      held.delete(name)
      return []
    }
    const part = known.get(BEGINS.get(type) ?? type)?.shift()
    if (part === undefined) return [chunk]
    if (what === 'start' && typeof part.text === 'string')
      held.set(name, { start: chunk, had: part.text, text: '' })
    return []
  }
}
