// Events that are made here and not by the native side (`src/sse`): what keeps a connection open, and answers that are in no store.

const encoder = new TextEncoder()

/** A comment. Bytes of its own for each response, which may transfer them. */
export function heartbeat(): Uint8Array {
  return encoder.encode(': heartbeat\n\n')
}

/** A chunk of a UI message stream: a JSON text, which has no line's end in it. */
export function uiMessage(data: string): Uint8Array {
  return encoder.encode(`data: ${data}\n\n`)
}

/** What ends a UI message stream. */
export function uiDone(): Uint8Array {
  return uiMessage('[DONE]')
}
