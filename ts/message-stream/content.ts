import { sleep } from '../util/timers'

/** The text that the built-in producer writes. */
export function generateContent(type: 'demo' | 'ai' | 'conversation', userContent: string): string {
  const subject = userContent.trim() === '' ? 'nothing in particular' : `"${userContent.trim()}"`
  switch (type) {
    case 'conversation':
      return (
        `You were saying ${subject}, and I have been thinking about it. There is more than one way to look at it, ` +
        'and I would like to hear yours first. Which part of it matters most to you? Tell me, and we go on from there.'
      )
    case 'ai':
      return (
        `You asked about ${subject}. No model is connected here, so this answer knows nothing; it is made of plain words ` +
        'that arrive one after the other, as those of a model would. Pass a source to put real ones in their place.'
      )
    default:
      return (
        `This is a demonstration that answers to ${subject}. The tide comes in, writes its mark on the wall and leaves; ` +
        'whoever comes later can still read how far it came. Reload the page in the middle of this sentence, or open it ' +
        'a second time: every word will be there once, and in its place.'
      )
  }
}

/** Cuts a text at spaces into at most `n` pieces of about the same number of words; joined they are the text. */
export function splitIntoChunks(content: string, n: number): string[] {
  const words = content.match(/\s*\S+\s*$|\s*\S+/g) ?? (content === '' ? [] : [content])
  const count = Math.min(words.length, Math.max(1, Math.floor(n) || 1))
  return Array.from({ length: count }, (_, index) =>
    words
      .slice(Math.floor((index * words.length) / count), Math.floor(((index + 1) * words.length) / count))
      .join(''),
  )
}

/** The built-in text at its pace, until the signal is aborted. */
export async function* paced(
  pieces: readonly string[],
  intervalMs: number,
  signal: AbortSignal,
): AsyncGenerator<string, undefined> {
  for (const [index, piece] of pieces.entries()) {
    if (index > 0 && intervalMs > 0) await sleep(intervalMs, signal)
    yield piece
  }
  return undefined
}
