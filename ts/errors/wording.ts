/** The text that readers get for an error without a message of its own for them. */
const MASKED = 'An error occurred.'

/** Gets an error, and returns the text that readers get for it. */
export type OnError = (error: unknown) => unknown

/** Logs the error; the text reveals nothing. */
export function logged(error: unknown): string {
  console.error(error)
  return MASKED
}

/** The text of `onError` for an error. If `onError` throws or returns no text, readers get the default one. */
export function wordsOf(error: unknown, onError: OnError = logged): string {
  try {
    const words = onError(error)
    if (typeof words === 'string') return words
    // An asynchronous `onError` has no text in time, and its failure must not be an unhandled rejection.
    Promise.resolve(words).catch(console.error)
  } catch (failure) {
    console.error(failure)
  }
  return MASKED
}

/** `onError`, called once for each error, however often its text is needed. */
export function wording(onError: OnError | undefined): (error: unknown) => string {
  const told = new Map<unknown, string>()
  return (error) => {
    const words = told.get(error) ?? wordsOf(error, onError)
    told.set(error, words)
    return words
  }
}
