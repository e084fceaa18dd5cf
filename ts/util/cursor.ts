/** The text of a cursor, `<generation>.<seq>`: `src/model/cursor.rs` writes and reads the same. */

/** Up to this chunk of a generation; 0: before its first one. */
export function cursorAt(generation: string, seq: number): string {
  return `${generation}.${seq}`
}

/** All of a text that is no cursor. */
export function generationOf(cursor: string): string {
  return cursor.split('.', 1)[0] ?? ''
}

/** `NaN` of a text that is no cursor. */
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
