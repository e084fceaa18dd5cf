/** What readers are told of an error that nobody has chosen words for. */
const MASKED = 'An error occurred.'

/** Is told of an error, and says what its readers are told. */
export type OnError = (error: unknown) => unknown

/** Logs, and gives nothing away. */
export function logged(error: unknown): string {
  console.error(error)
  return MASKED
}

/** An error in the words of `onError`. Whatever that does, it breaks nothing: without words of its own, readers get none. */
export function wordsOf(error: unknown, onError: OnError = logged): string {
  try {
    const words = onError(error)
    if (typeof words === 'string') return words
    // An asynchronous one has no words in time, and its failure must not be left to nobody.
    Promise.resolve(words).catch(console.error)
  } catch (failure) {
    console.error(failure)
  }
  return MASKED
}

/** `onError`, told once of each error, however often its words are needed. */
export function wording(onError: OnError | undefined): (error: unknown) => string {
  const told = new Map<unknown, string>()
  return (error) => {
    const words = told.get(error) ?? wordsOf(error, onError)
    told.set(error, words)
    return words
  }
}
