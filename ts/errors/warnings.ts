/** A line for whoever runs the program; it begins with what Node.js puts in front of a warning's code. */
export type WarningCode = 'TIDEMARK_RIGHTS' | 'TIDEMARK_URL' | 'TIDEMARK_TLS' | 'TIDEMARK_LOG'

const told = new Set<string>()

/** Tells the program's warnings, each once, however many engines have it to tell. */
export function warnOnce(code: WarningCode, message: string): void {
  if (told.has(message)) return
  told.add(message)
  process.emitWarning(message, { type: 'TidemarkWarning', code })
}
