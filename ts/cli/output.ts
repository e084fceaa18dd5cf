/** A stream of the process, or of a test. */
export interface Stream {
  isTTY?: boolean
  columns?: number
  rows?: number
  hasColors?(): boolean
  write(text: string | Uint8Array, done?: (error?: Error | null) => void): boolean
}

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const
type Style = keyof typeof STYLES

/** Milliseconds between two lines of progress, on a terminal and in a log. */
const REDRAW_MS = 100
const LOG_MS = 2_000

/** Results go to stdout, everything else to stderr. Only terminals get colours and lines that are redrawn. */
export class Output {
  readonly json: boolean
  readonly #out: Stream
  readonly #err: Stream
  readonly #hasColors: boolean
  #drawn = false
  #progressAt = performance.now()

  constructor(out: Stream, err: Stream, json: boolean) {
    this.json = json
    this.#out = out
    this.#err = err
    // Respects NO_COLOR, FORCE_COLOR and TERM.
    this.#hasColors = out.isTTY === true && out.hasColors?.() === true
  }

  get isTerminal(): boolean {
    return this.#out.isTTY === true
  }

  /** The terminal's width; lines that go elsewhere may be of any length. */
  get columns(): number {
    return this.isTerminal ? this.#out.columns || 80 : Number.POSITIVE_INFINITY
  }

  /** The terminal's height. */
  get rows(): number | undefined {
    return this.isTerminal ? this.#out.rows || undefined : undefined
  }

  style(style: Style, text: string): string {
    return this.#hasColors ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text
  }

  line(text = ''): void {
    this.clear()
    this.#out.write(`${text}\n`)
  }

  /** Lines that replace the previous ones on a terminal; elsewhere they follow them, after an empty line. */
  screen(lines: readonly string[]): void {
    if (this.isTerminal)
      this.#out.write(`\u001b[H${lines.map((text) => `${text}\u001b[K\n`).join('')}\u001b[J`)
    else this.#out.write(`${lines.join('\n')}\n\n`)
  }

  /** A JSON value, on a line of its own. */
  value(value: unknown): void {
    this.line(JSON.stringify(value))
  }

  /** Text as it is; resolves when there is room for more. */
  raw(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#out.write(data, (error) => (error ? reject(error) : resolve()))
    })
  }

  /** A note, which is not part of the result. */
  note(text: string): void {
    this.clear()
    this.#err.write(`${text}\n`)
  }

  /** Progress of long work: one line that is redrawn on a terminal, a line now and then in a log. */
  progress(text: string): void {
    const isTerminal = this.#err.isTTY === true
    const now = performance.now()
    if (now - this.#progressAt < (isTerminal ? REDRAW_MS : LOG_MS)) return
    this.#progressAt = now
    this.#err.write(isTerminal ? `\r\u001b[K${text}` : `${text}\n`)
    this.#drawn = isTerminal
  }

  /** Removes the line of progress. */
  clear(): void {
    if (this.#drawn) this.#err.write('\r\u001b[K')
    this.#drawn = false
  }
}

/** Foreign text for a terminal, without the characters that could control it. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) as number).toString(16)}}`
  })
}

/** Words of the command line, for messages. One of them may be a URL by mistake: its password is left out. */
export function argument(words: string): string {
  return printable(words.replace(/[^\s'"/]*:[^\s'"]*@/g, '…@').replace(/(password=)[^&\s]*/gi, '$1…'))
}

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let unit = 0
  let value = count
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`
  const seconds = Math.floor(ms / 1_000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

export function number(value: number): string {
  return value.toLocaleString('en-US')
}
