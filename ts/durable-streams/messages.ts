// JSON bodies as messages, each kept as it was sent: a number that JavaScript cannot express is another one after it.

import { checkWeight, endOfString, TooLargeError } from '../http/body'
import { MOST_TOGETHER } from '../options/log-options'
import { Refusal } from './answers'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The messages of a body. An array is flattened by one level. */
export function messagesOf(body: Uint8Array): string[] {
  const { text, value } = parsed(body)
  if (!Array.isArray(value)) return [text.trim()]
  if (value.length > 1 && body.byteLength > MOST_TOGETHER) {
    throw new Refusal(413, 'too_large', `an array of several messages is at most ${MOST_TOGETHER} bytes`)
  }
  return elementsOf(text, value.length)
}

function parsed(body: Uint8Array): { text: string; value: unknown } {
  try {
    const text = utf8.decode(body)
    checkWeight(text)
    return { text, value: JSON.parse(text) }
  } catch (error) {
    if (error instanceof TooLargeError) throw new Refusal(413, 'too_large', 'the body has too many values')
    throw new Refusal(400, 'bad_json', 'the body is not JSON, or nested too deeply')
  }
}

/** The texts of an array's elements. */
function elementsOf(array: string, count: number): string[] {
  if (count === 0) return []
  const end = array.lastIndexOf(']')
  const elements: string[] = []
  let begin = array.indexOf('[') + 1
  const take = (until: number) => elements.push(array.slice(begin, until).trim())
  for (let at = begin, depth = 0; elements.length < count - 1; at++) {
    switch (array[at]) {
      case '"':
        at = endOfString(array, at)
        break
      case '[':
      case '{':
        depth++
        break
      case ']':
      case '}':
        depth--
        break
      case ',':
        if (depth > 0) break
        take(at)
        begin = at + 1
    }
  }
  take(end)
  return elements
}
