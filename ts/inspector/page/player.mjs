// Plays a stream: its last chunks, a line for each, or together as one text.

import { address } from './api.mjs'
import { el, write } from './dom.mjs'
import { bytes, moodOf, number, rate, visible } from './format.mjs'

/** The most lines, and the most characters of the text, that are kept. */
const MOST_LINES = 400
const MOST_TEXT = 200_000
/** How many chunks before the last one it begins. */
const TAIL = 100
/** From this size on, a chunk's bar has its full width. */
const WIDEST_BYTES = 400
const RATE_MS = 3_000

/** @typedef {import('../answers').Played} Played */
/** @typedef {{ note: string, mood: string | undefined }} Note */

export class Player {
  /** @type {EventSource | undefined} */
  #source
  #id
  #onGap
  #isPaused = false
  #asText = false
  #showData = false
  /** @type {(Played | Note)[]} */
  #waiting = []
  #frame = 0
  #seen = { chunks: 0, bytes: 0 }
  /** @type {{ at: number, count: number }[]} */
  #recent = []
  #generation = ''
  #lines = el('div')
  #prose = el('div', { class: 'prose', hidden: true })
  #screen = el(
    'div',
    { class: 'screen', tabIndex: 0, role: 'log', 'aria-live': 'off', 'aria-label': 'Chunks' },
    this.#lines,
    this.#prose,
  )
  #pause = el('button', { type: 'button', text: 'Pause', onclick: () => this.#toggle() })
  #mode = el('button', {
    type: 'button',
    text: 'As text',
    hidden: true,
    'aria-pressed': 'false',
    onclick: () => this.#change(),
  })
  #count = el('span')
  #speed = el('span')
  #cursor = el('code')

  /** @param {string} id @param {(gap: { at: number, resume: string }) => void} onGap */
  constructor(id, onGap) {
    this.#id = id
    this.#onGap = onGap
    this.element = el(
      'section',
      { class: 'card player', 'aria-labelledby': 'player-title' },
      el(
        'header',
        null,
        el('h2', { id: 'player-title', text: 'Live' }),
        el(
          'div',
          { class: 'push' },
          this.#mode,
          ' ',
          el('button', { type: 'button', text: 'From the start', onclick: () => this.play('start') }),
          ' ',
          this.#pause,
        ),
      ),
      this.#screen,
      el('footer', null, this.#count, this.#speed, el('span', null, 'cursor ', this.#cursor)),
    )
  }

  /**
   * Begins once it is known what there is, and again with each generation.
   * @param {import('../answers').Stream} stream @param {boolean} showData
   */
  follow({ generation, firstSeq, lastSeq }, showData) {
    this.#showData = showData
    this.#mode.hidden = !showData
    if (generation === this.#generation) return
    const isFirst = this.#generation === ''
    this.#generation = generation
    const before = Math.max(firstSeq - 1, lastSeq - TAIL)
    if (!isFirst) this.#note(`generation ${generation}`, 'live')
    this.play(before < firstSeq ? 'start' : `${generation}.${before}`, isFirst)
  }

  /** @param {string} from @param {boolean} [isAnew] */
  play(from, isAnew = true) {
    this.#source?.close()
    if (isAnew) this.#clear()
    this.#isPaused = false
    write(this.#pause, 'Pause')
    const source = new EventSource(address('play', { id: this.#id, from }))
    source.addEventListener('chunks', ({ data }) => this.#queue(JSON.parse(data)))
    source.addEventListener('gap', ({ data }) => {
      const gap = JSON.parse(data)
      this.#queue({ note: 'chunks between are gone', mood: 'bad' })
      this.#onGap(gap)
    })
    source.addEventListener('end', ({ data }) => {
      const { outcome, reason } = JSON.parse(data)
      this.#queue({ note: reason ? `${outcome}: ${reason}` : outcome, mood: moodOf(outcome) })
      source.close()
    })
    source.addEventListener('problem', ({ data }) => {
      this.#queue({ note: `cannot be read: ${JSON.parse(data).code}`, mood: 'bad' })
      source.close()
    })
    this.#source = source
  }

  end() {
    this.#source?.close()
    cancelAnimationFrame(this.#frame)
  }

  /** Speeds fade when nothing comes. @param {number} now */
  tick(now) {
    this.#recent = this.#recent.filter(({ at }) => at > now - RATE_MS)
    const chunks = this.#recent.reduce((sum, { count }) => sum + count, 0)
    write(this.#speed, `${rate((chunks * 1000) / RATE_MS)} chunks/s`)
  }

  #toggle() {
    this.#isPaused = !this.#isPaused
    write(this.#pause, this.#isPaused ? 'Go on' : 'Pause')
    if (!this.#isPaused) this.#soon()
  }

  #change() {
    this.#asText = !this.#asText
    this.#mode.setAttribute('aria-pressed', String(this.#asText))
    this.#lines.hidden = this.#asText
    this.#prose.hidden = !this.#asText
    this.#screen.scrollTop = this.#screen.scrollHeight
  }

  /** Written once a frame, however fast it comes; while paused, the latest are kept. @param {Played | Note} told */
  #queue(told) {
    this.#waiting.push(told)
    if ('count' in told) {
      this.#seen.chunks += told.count
      this.#seen.bytes += told.bytes
      this.#recent.push({ at: Date.now(), count: told.count })
    }
    if (this.#waiting.length > MOST_LINES) this.#waiting.shift()
    if (!this.#isPaused) this.#soon()
  }

  #soon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0
      this.#draw()
    })
  }

  #draw() {
    const screen = this.#screen
    const isAtEnd = screen.scrollHeight - screen.scrollTop - screen.clientHeight < 40
    const waiting = this.#waiting
    this.#waiting = []
    /** @type {(() => HTMLElement)[]} */
    const lines = []
    let text = ''
    for (const told of waiting) {
      if ('note' in told) {
        lines.push(() => note(told.note, told.mood))
        continue
      }
      const passed = told.count - told.chunks.length
      if (passed > 0) lines.push(() => note(`${number(passed)} more chunks`, undefined))
      for (const chunk of told.chunks) {
        lines.push(() => lineOf(chunk, this.#showData))
        text += spoken(chunk)
      }
      write(this.#cursor, told.cursor)
    }
    // Lines that would be removed at once are not made.
    this.#lines.append(...lines.slice(-MOST_LINES).map((make) => make()))
    while (this.#lines.childElementCount > MOST_LINES) this.#lines.firstElementChild?.remove()
    if (text !== '') this.#prose.append(visible(text))
    const prose = this.#prose.textContent ?? ''
    if (prose.length > MOST_TEXT) this.#prose.textContent = prose.slice(-MOST_TEXT / 2)
    write(this.#count, `${number(this.#seen.chunks)} chunks, ${bytes(this.#seen.bytes)}`)
    if (isAtEnd) screen.scrollTop = screen.scrollHeight
  }

  /** @param {string} text @param {string | undefined} mood */
  #note(text, mood) {
    this.#queue({ note: text, mood })
  }

  #clear() {
    this.#waiting = []
    this.#seen = { chunks: 0, bytes: 0 }
    this.#recent = []
    this.#lines.replaceChildren()
    this.#prose.replaceChildren()
  }
}

/** @param {string} text @param {string | undefined} mood */
function note(text, mood) {
  return el('p', { class: 'mark', 'data-mood': mood, text: visible(text) })
}

/** @param {Played['chunks'][number]} chunk @param {boolean} showData */
function lineOf({ seq, bytes: size, text, isBytes, isCut }, showData) {
  const shown = showData && text !== undefined
  const data = shown
    ? el('span', { class: 'data', text: `${visible(text)}${isCut ? ' …' : ''}` })
    : el('span', { class: 'weight', 'aria-hidden': 'true' })
  if (!shown) data.style.width = `${Math.min(100, (size / WIDEST_BYTES) * 100)}%`
  return el(
    'div',
    { class: 'line' },
    el('span', { class: 'seq', text: number(seq) }),
    el('span', { class: 'size', text: `${bytes(size)}${isBytes ? ' hex' : ''}` }),
    data,
  )
}

/** The text of a chunk, or that of a text delta of the AI SDK. @param {Played['chunks'][number]} chunk */
function spoken({ text, isBytes }) {
  if (text === undefined || isBytes) return ''
  if (!text.startsWith('{')) return text
  try {
    const { type, delta } = JSON.parse(text)
    if (type === 'text-delta') return String(delta)
    if (type === 'text-end') return '\n'
    return typeof type === 'string' ? '' : text
  } catch {
    return text
  }
}
