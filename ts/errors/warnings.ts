/** A line for the operator; it begins with the text that Node.js puts in front of a warning's code. */
type WarningCode = 'TIDEMARK_RIGHTS' | 'TIDEMARK_URL' | 'TIDEMARK_TLS' | 'TIDEMARK_LOG'

const told = new Set<string>()

/** Emits warnings on the process, each only once, however many engines report it. */
export function warnOnce(code: WarningCode, message: string): void {
  if (told.has(message)) return
  told.add(message)
  process.emitWarning(message, { type: 'TidemarkWarning', code })
}
