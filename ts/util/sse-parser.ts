import { ownText } from './own.js'

/** A server-sent event. */
export interface Event {
  type: string
  data: string
  /** Of this event: others keep none. */
  id: string | undefined
}

/** Parses the server-sent events of a response, by the HTML standard. */
export class EventParser {
  readonly #decoder = new TextDecoder()
  /** The beginning of a line, in the pieces in which it came: scanning a long line again for each piece would be quadratic. */
  #rest: string[] = []
  #type = ''
  #data: string[] = []
  #id: string | undefined

  /** The events that these bytes complete. */
  push(bytes: Uint8Array): Event[] {
    return this.pushText(this.#decoder.decode(bytes, { stream: true }))
  }

  /** The same for text. */
  pushText(text: string): Event[] {
    const events: Event[] = []
    // It may have been half of a line's end.
    const whole = this.#rest.at(-1)?.endsWith('\r') ? this.#rest.pop() + text : text
    const lines = whole.split(/\r\n|\n|\r(?!$)/)
    const rest = lines.pop() as string
    for (const line of lines) {
      const complete = this.#rest.length === 0 ? line : this.#rest.join('') + line
      this.#rest = []
      if (complete === '') this.#dispatch(events)
      else this.#field(complete, whole)
    }
    if (rest !== '') this.#rest.push(ownText(rest, whole))
    return events
  }

  #field(line: string, text: string): void {
    const colon = line.indexOf(':')
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1)
    if (name === 'data') this.#data.push(ownText(value, text))
    else if (name === 'event') this.#type = value
    else if (name === 'id') this.#id = ownText(value, text)
  }

  #dispatch(events: Event[]): void {
    if (this.#data.length > 0) {
      events.push({ type: this.#type || 'message', data: this.#data.join('\n'), id: this.#id })
    }
    this.#type = ''
    this.#data = []
    this.#id = undefined
  }
}
