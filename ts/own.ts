/** V8 copies a shorter piece of a text anyway. */
const MIN_VIEW = 13

/**
 * A piece of `source` with memory of its own: what V8 cuts out of a text is a view, which keeps all of it for as long as
 * the piece is kept. Nothing is copied where the piece is most of its source.
 */
export function ownText(piece: string, source: string): string {
  if (piece.length < MIN_VIEW || 2 * piece.length >= source.length) return piece
  // Cutting up a text that was put together makes V8 write it down first.
  return ` ${piece}`.slice(1)
}

/** Bytes with memory of their own: a caller that transfers or changes its chunk must not touch anybody else's. */
export function ownBytes(source: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start)
  copy.set(source.subarray(start, end))
  return copy
}
