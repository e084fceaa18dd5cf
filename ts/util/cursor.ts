/** The text of a cursor, `<generation>.<seq>`: `src/model/cursor.rs` writes and reads the same. */

/** The seq of the last chunk seen; 0: before the first one. */
export function cursorAt(generation: string, seq: number): string {
  return `${generation}.${seq}`
}

/** The place before a chunk. */
export function cursorBefore({ cursor, seq }: { cursor: string; seq: number }): string {
  return cursorAt(generationOf(cursor), seq - 1)
}

/** The generation; the whole text if it is not a cursor. */
export function generationOf(cursor: string): string {
  return cursor.split('.', 1)[0] ?? ''
}

/** The seq; `NaN` if the text is not a cursor. */
export function seqOf(cursor: string): number {
  return Number(cursor.split('.')[1])
}

/** As strict as the native side: one text for one cursor. */
export function isCursor(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    /^[0-7][0-9A-HJKMNP-TV-Z]{25}\.(0|[1-9]\d{0,15})$/.test(value) &&
    Number.isSafeInteger(seqOf(value))
  )
}
