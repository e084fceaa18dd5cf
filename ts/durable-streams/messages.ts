// JSON bodies as messages, each kept as it was sent: a number that JavaScript cannot express is another one after it.

import { checkWeight, TooLargeError } from '../http/body'
import { Refusal } from './answers'

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The messages of a body. An array is flattened by one level. */
export function messagesOf(body: Uint8Array): string[] {
  const { text, value } = parsed(body)
  return Array.isArray(value) ? elementsOf(text, value.length) : [text.trim()]
}

function parsed(body: Uint8Array): { text: string; value: unknown } {
  try {
    checkWeight(body)
    const text = utf8.decode(body)
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

/** The quotation mark that closes the string. */
function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); ; end = json.indexOf('"', end + 1)) {
    let slashes = 0
    while (json[end - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 0) return end
  }
}
