// Events that are framed here and not by the native side (`src/sse`): heartbeats, and answers that are not stored.

const encoder = new TextEncoder()

/** A comment. Each response gets its own bytes, because it may transfer them. */
export function heartbeat(): Uint8Array {
  return encoder.encode(': heartbeat\n\n')
}

/** A chunk of a UI message stream: a JSON text, which has no line's end in it. */
export function uiMessage(data: string): Uint8Array {
  return encoder.encode(`data: ${data}\n\n`)
}

/** The end of a UI message stream. */
export function uiDone(): Uint8Array {
  return uiMessage('[DONE]')
}
