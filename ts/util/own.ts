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
