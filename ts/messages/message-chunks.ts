/** A message of the AI SDK as the chunks of a UI message stream. */

/** The version of `ai` in the browser, if it is known. */
export type AiVersion = 5 | 6 | 7 | undefined

/** A message of the assistant, as it comes from a browser. */
export interface Continued {
  readonly id: string
  readonly metadata?: unknown
  readonly parts?: unknown
}

type Part = Readonly<Record<string, unknown>>

/** Longer texts become several deltas, because the size of a chunk is limited. */
const DELTA_UNITS = 64 * 1024

/**
 * The chunks from which the SDK builds a message with the same parts, in the same states. The SDK calls `onToolCall` when it reads
 * a tool call; calls that already have their output are written in another way where that loses nothing.
 */
export function* messageChunks({ id, metadata, parts }: Continued, version: AiVersion): Generator<object> {
  yield { type: 'start', messageId: id, ...(metadata == null ? {} : { messageMetadata: metadata }) }
  if (!Array.isArray(parts)) return
  for (const [index, part] of parts.entries()) {
    if (typeof part === 'object' && part !== null) yield* partOf(part as Part, `continued-${index}`, version)
  }
}

function* partOf(part: Part, id: string, version: AiVersion): Generator<object> {
  const { type } = part
  if (typeof type !== 'string') return
  if (type === 'text') yield* spoken('text', part, id)
  else if (type === 'reasoning') yield* spoken('reasoning', part, isText(part.id) ? part.id : id)
  else if (type === 'step-start') yield { type: 'start-step' }
  else if (type === 'dynamic-tool') yield* called(part, part.toolName, version)
  else if (type.startsWith('tool-')) yield* called(part, type.slice('tool-'.length), version)
  else if (type.startsWith('data-')) yield { type, ...pick(part, 'id'), data: part.data ?? null }
  else {
    const fields = AS_THEY_ARE.get(type)
    if (fields !== undefined) yield { type, ...pick(part, ...fields) }
  }
}

/** Parts that are written as one chunk of the same name. */
export const AS_THEY_ARE: ReadonlyMap<string, readonly string[]> = new Map([
  ['file', ['url', 'mediaType', 'providerMetadata']],
  ['reasoning-file', ['url', 'mediaType', 'providerMetadata']],
  ['source-url', ['sourceId', 'url', 'title', 'providerMetadata']],
  ['source-document', ['sourceId', 'mediaType', 'title', 'filename', 'providerMetadata']],
  ['custom', ['kind', 'providerMetadata']],
  ['steering-message', ['id', 'parts']],
])

function* spoken(kind: 'text' | 'reasoning', part: Part, id: string): Generator<object> {
  if (typeof part.text !== 'string') return
  yield { type: `${kind}-start`, id, ...pick(part, 'providerMetadata') }
  for (const delta of deltas(part.text)) yield { type: `${kind}-delta`, id, delta }
  // A part that was cut off stays open.
  if (part.state !== 'streaming') yield { type: `${kind}-end`, id, ...pick(part, 'citations') }
}

function* called(part: Part, toolName: unknown, version: AiVersion): Generator<object> {
  const { toolCallId, state, input, rawInput, errorText, callProviderMetadata } = part
  if (!isText(toolCallId) || !isText(toolName)) return
  const dynamic = part.type === 'dynamic-tool' ? { dynamic: true } : {}
  const call = {
    toolCallId,
    toolName,
    ...dynamic,
    ...pick(part, 'providerExecuted', 'title', 'toolMetadata'),
  }
  const meta = callProviderMetadata == null ? {} : { providerMetadata: callProviderMetadata }
  const result = {
    toolCallId,
    ...dynamic,
    ...pick(part, 'providerExecuted'),
    ...(part.resultProviderMetadata == null ? {} : { providerMetadata: part.resultProviderMetadata }),
  }

  function* typed(text: string): Generator<object> {
    yield { type: 'tool-input-start', ...call, ...meta, ...pick(part, 'inputEncoding') }
    for (const inputTextDelta of deltas(text)) yield { type: 'tool-input-delta', toolCallId, inputTextDelta }
  }

  const json = JSON.stringify(input) ?? ''
  if (state === 'input-streaming') return yield* typed(typeof rawInput === 'string' ? rawInput : json)
  if (state === 'output-error' && input === undefined) {
    yield {
      type: 'tool-input-error',
      ...call,
      ...meta,
      input: rawInput ?? null,
      errorText: String(errorText ?? ''),
    }
    return
  }
  const hasOutput = state === 'output-available' || state === 'output-error'
  // `ai` 5 takes a call's metadata from this chunk alone; a model may refuse to continue without it.
  if (!hasOutput || json === '' || callProviderMetadata != null)
    yield { type: 'tool-input-available', ...call, ...meta, input: input ?? null }
  else yield* typed(json)
  yield* approved(part.approval, toolCallId, version)
  if (state === 'output-denied') yield { type: 'tool-output-denied', toolCallId }
  // In front of an error it makes the SDK forget the input's text.
  if (hasOutput)
    yield {
      type: 'tool-output-available',
      ...result,
      output: part.output ?? null,
      ...pick(part, 'preliminary'),
    }
  if (state === 'output-error')
    yield { type: 'tool-output-error', ...result, errorText: String(errorText ?? '') }
}

/**
 * An approval request and the answer to it. Before `ai` 7 there is no chunk for the answer, and a client of `ai` 6 fails at
 * one. For these versions a granted approval is left out, since an approval without an answer on an output is not valid, and a
 * denied one is written as the request alone.
 */
function* approved(approval: unknown, toolCallId: string, version: AiVersion): Generator<object> {
  const { id, approved: answer, ...rest } = (approval ?? {}) as Part
  if (!isText(id)) return
  const isAnswered = typeof answer === 'boolean'
  if (isAnswered && answer && version !== 7) return
  const { descriptor, requestReason, reason } = rest
  yield {
    type: 'tool-approval-request',
    approvalId: id,
    toolCallId,
    ...pick(rest, 'inputSchemaInput', 'isAutomatic', 'signature'),
    ...(descriptor == null ? {} : { approvalDescriptor: descriptor }),
    ...(requestReason == null ? {} : { reason: requestReason }),
  }
  if (isAnswered && version === 7)
    yield {
      type: 'tool-approval-response',
      approvalId: id,
      approved: answer,
      ...(reason == null ? {} : { reason }),
    }
}

/** A text in pieces, each of whole characters. */
function* deltas(text: string): Generator<string> {
  for (let at = 0; at < text.length; ) {
    let end = at + DELTA_UNITS
    // Not between the halves of a pair.
    if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end -= 1
    yield text.slice(at, end)
    at = end
  }
}

function pick(from: Part, ...names: readonly string[]): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const name of names) if (from[name] != null) found[name] = from[name]
  return found
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
