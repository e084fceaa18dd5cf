import { ownText } from './own.js'

/** A server-sent event. */
export interface Event {
  type: string
  data: string
  /** Of this event: others keep none. */
  id: string | undefined
}

/** Server-sent events out of the bytes of a response, as the HTML standard has it. */
export class EventParser {
  readonly #decoder = new TextDecoder()
  #rest = ''
  #type = ''
  #data: string[] = []
  #id: string | undefined

  /** The events that these bytes complete. */
  push(bytes: Uint8Array): Event[] {
    const events: Event[] = []
    const text = this.#rest + this.#decoder.decode(bytes, { stream: true })
    const lines = text.split(/\r\n|\n|\r(?!$)/)
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '') this.#dispatch(events)
      else this.#field(line, text)
    }
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
