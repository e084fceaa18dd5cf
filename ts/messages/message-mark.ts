/**
 * How far a message of the AI SDK has come, in a few letters: those of a message that a page has, and of the one that chunks make
 * so far, are the same when both have the same parts in the same states, of the same length.
 */

import { AS_THEY_ARE } from './message-chunks.js'

type Fields = Readonly<Record<string, unknown>>

/** What counts of a part. */
interface Sketch {
  readonly type: string
  readonly id: unknown
  state: unknown
  /** Of its text, or of the JSON of what it has last been given: the order of keys is no matter. */
  size: number
}

/** That of a message's parts; undefined: they do not tell. */
export function markOf(parts: readonly unknown[]): string | undefined {
  const sketches = parts.map((part) => sketchOf((part ?? {}) as Fields))
  return sketches.every((sketch) => sketch !== undefined) ? mark(sketches, totalOf(sketches)) : undefined
}

/** The message that an answer's chunks make, as far as its mark is concerned. */
export class MessageSketch {
  readonly #sketches: Sketch[] = []
  readonly #open = new Map<string, Sketch>()
  /** Its id, once its first chunk has said it. */
  id: unknown
  #total = 0

  /** Whether it has this mark. */
  is(wanted: string): boolean {
    return wanted.startsWith(`${this.#total}.`) && mark(this.#sketches, this.#total) === wanted
  }

  take(chunk: Fields): void {
    const { type, id, toolCallId } = chunk
    if (typeof type !== 'string') return
    const [kind = '', what] = type.split('-')
    if (type === 'start') this.id = chunk.messageId
    else if (type === 'start-step') this.#add('step-start')
    else if (type === 'finish-step') this.#open.clear()
    else if (kind === 'data') {
      if (chunk.transient === true) return
      const known = id != null && this.#sketches.find((sketch) => sketch.type === type && sketch.id === id)
      this.#resize(known || this.#add(type, id), sizeOf(chunk.data))
    } else if (kind === 'tool') this.#called(toolCallId, type.slice(5), chunk)
    else if (what === 'start') this.#open.set(`${kind} ${id}`, this.#add(kind, undefined, 'streaming'))
    else if (what === 'delta') {
      const part = this.#open.get(`${kind} ${id}`)
      if (part !== undefined) this.#resize(part, part.size + `${chunk.delta}`.length)
    } else if (what === 'end') {
      const part = this.#open.get(`${kind} ${id}`)
      if (part !== undefined) part.state = 'done'
      this.#open.delete(`${kind} ${id}`)
    } else if (AS_THEY_ARE.has(type)) this.#add(type)
  }

  #called(toolCallId: unknown, event: string, chunk: Fields): void {
    const known = this.#sketches.find(({ type, id }) => type === 'tool' && id === toolCallId)
    if (event === 'approval-response') return
    const part = known ?? this.#add('tool', toolCallId)
    if (event !== 'input-delta') part.state = STATES.get(event) ?? event
    if (event === 'input-delta') this.#resize(part, part.size + `${chunk.inputTextDelta}`.length)
    else if (event === 'input-start') this.#resize(part, 0)
    else if (event === 'input-available') this.#resize(part, sizeOf(chunk.input))
    else if (event === 'output-available') this.#resize(part, sizeOf(chunk.output))
    else if (part.state === 'output-error') this.#resize(part, `${chunk.errorText}`.length)
  }

  #add(type: string, id?: unknown, state?: unknown): Sketch {
    const sketch = { type, id, state, size: 0 }
    this.#sketches.push(sketch)
    return sketch
  }

  #resize(sketch: Sketch, size: number): void {
    this.#total += size - sketch.size
    sketch.size = size
  }
}

/** The state that a chunk brings a call into, where they have not one name. */
const STATES: ReadonlyMap<string, string> = new Map([
  ['input-start', 'input-streaming'],
  ['input-error', 'output-error'],
  ['approval-request', 'approval-requested'],
])

function sketchOf(part: Fields): Sketch | undefined {
  const { type, state, text, toolCallId, input, output, rawInput, errorText } = part
  if (typeof type !== 'string') return undefined
  if (type === 'text' || type === 'reasoning')
    return { type, id: undefined, state: state ?? 'done', size: `${text}`.length }
  if (type.startsWith('data-')) return { type, id: part.id, state: undefined, size: sizeOf(part.data) }
  if (toolCallId === undefined) return { type, id: undefined, state: undefined, size: 0 }
  // What was answered has begun another answer; of an input that is not kept as it came the length is not known.
  if (
    state === 'approval-responded' ||
    (state === 'input-streaming' && input !== undefined && typeof rawInput !== 'string')
  )
    return undefined
  const size =
    state === 'input-streaming'
      ? `${rawInput ?? ''}`.length
      : state === 'output-available'
        ? sizeOf(output)
        : state === 'output-error'
          ? `${errorText}`.length
          : sizeOf(input)
  return { type: 'tool', id: toolCallId, state, size }
}

function sizeOf(value: unknown): number {
  return JSON.stringify(value)?.length ?? 0
}

function totalOf(sketches: readonly Sketch[]): number {
  return sketches.reduce((total, { size }) => total + size, 0)
}

/** The sum of all sizes, which is quickly compared, and a hash of the rest (FNV-1a): nothing is kept secret by it. */
function mark(sketches: readonly Sketch[], total: number): string {
  let hash = 0x811c9dc5
  const text = JSON.stringify(sketches.map(({ type, id, state, size }) => [type, id, state, size]))
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return `${total}.${(hash >>> 0).toString(36)}`
}
