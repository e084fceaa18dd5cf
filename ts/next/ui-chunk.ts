/** A chunk of a message of the AI SDK. */
export type UIChunk = Readonly<Record<string, unknown>> & { type?: unknown }

/** What a text says; nothing, if it is no chunk: a stream that the application has made itself may have any. */
export function chunkOf(text: string): UIChunk {
  try {
    const chunk: unknown = JSON.parse(text)
    return typeof chunk === 'object' && chunk !== null ? (chunk as UIChunk) : {}
  } catch {
    return {}
  }
}
