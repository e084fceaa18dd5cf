/** V8 copies shorter pieces anyway. */
const MIN_VIEW = 13

/**
 * Copies a piece of `source`: V8's slice of a text is a view, which keeps the whole text alive for as long as
 * the piece is. Nothing is copied if the piece is most of its source.
 */
export function ownText(piece: string, source: string): string {
  if (piece.length < MIN_VIEW || 2 * piece.length >= source.length) return piece
  // Slicing a concatenated text makes V8 flatten it first.
  return ` ${piece}`.slice(1)
}
