// One reader of a stream: follows it, comes back after what it has seen, and tells what was replayed and what is live.

import { Answer, child } from './answer.mjs'

/** A server that says nothing for so long is asked whether it is there. */
const PATIENCE_MS = 1000
const DROP_MS = 2000

const AWAY = ['reconnecting', 'degraded']

/** @typedef {{ base: string, port: string, log(line: string): void, onChange(): void, onTitle(title: string): void, peers(): number[] }} Surroundings */

export class Reader {
  /** @type {EventSource | undefined} */
  #line
  #id = ''
  #cursor = ''
  /** @type {number | undefined} */
  #seq
  #counts = { replayed: 0, live: 0, duplicates: 0, gaps: 0 }
  /** Of this connection: up to where it is replay, since when, and how many came. */
  #replay = { to: 0, since: 0, count: 0, from: 0 }
  #outcome = ''
  /** What it has shown, for a reload while the store is away. @type {string[]} */
  #shown = []
  /** Its server does not answer. */
  #isLost = false
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #patience
  #answer
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #showing

  /**
   * @param {string} name
   * @param {HTMLElement} root
   * @param {Surroundings} around
   */
  constructor(name, root, around) {
    this.name = name
    this.root = root
    this.around = around
    addEventListener('pagehide', () => this.#keep())
    this.#of('h2').textContent = name
    this.#answer = new Answer(this.#of('.answer'))
  }

  get isOver() {
    return this.#id === '' || this.#outcome !== ''
  }

  get canDrop() {
    return !this.isOver && this.#line !== undefined && this.#line.readyState !== EventSource.CLOSED
  }

  get isLost() {
    return this.#isLost
  }

  /** @param {string} id @param {{ isNew?: boolean }} [how] `isNew`: the stream was started for this reader */
  follow(id, { isNew = false } = {}) {
    this.leave()
    this.#id = id
    this.#cursor = ''
    this.#seq = isNew ? 0 : undefined
    this.#counts = { replayed: 0, live: 0, duplicates: 0, gaps: 0 }
    this.#outcome = ''
    this.#shown = []
    this.#answer.clear()
    for (const name of ['.where', '.resumed', '[data-note=away]']) this.#of(name).textContent = ''
    this.#note('')
    if (id !== '') this.#connect()
    this.#show()
  }

  leave() {
    this.#calm()
    this.#line?.close()
    this.#line = undefined
    this.#isLost = false
  }

  /** Closes the connection for a moment. */
  drop() {
    const dropped = this.#line
    if (dropped === undefined) return
    dropped.close()
    this.#calm()
    this.#pill('dropped', `dropped after seq ${this.#seq ?? 0}, back in 2 s`)
    this.#log(`line dropped after seq ${this.#seq ?? 0}`)
    setTimeout(() => {
      if (this.#line === dropped) this.#connect()
      this.#show()
    }, DROP_MS)
    this.#show()
  }

  /** Goes on after what was seen. When the line breaks, the browser does the same by itself, with `Last-Event-ID`. */
  #connect() {
    const query = this.#cursor && `?cursor=${encodeURIComponent(this.#cursor)}`
    const source = new EventSource(`${this.around.base}/stream/${encodeURIComponent(this.#id)}${query}`)
    this.#line = source
    this.#pill('connecting', 'connecting …')
    this.#calm()
    this.#expect(source)
    source.onopen = () => {
      this.#calm()
      if (this.#isLost) this.#log('the server is there again')
      this.#isLost = false
      this.#replay = { to: 0, since: performance.now(), count: 0, from: this.#seq ?? 0 }
      this.#note('')
      this.#pill('live', 'connected')
      this.#showSoon()
    }
    source.onerror = () => {
      if (!this.#isLost) this.#pill('connecting', `reconnecting after seq ${this.#seq ?? 0} …`)
      this.#expect(source)
    }
    const on = (/** @type {string} */ name, /** @type {(data: any, event: MessageEvent) => void} */ handle) =>
      source.addEventListener(name, (event) => {
        handle(JSON.parse(event.data), event)
        this.#showSoon()
      })
    on('about', (about) => this.#introduce(about))
    on('chunk', (chunk, { lastEventId }) => this.#take(chunk, lastEventId))
    on('missing', () => this.#note(`There is no answer ${this.#id} here. Waiting a moment for it to begin …`))
    on('state', ({ store, state }) => this.#tell(store, state))
    on('problem', ({ message }) => {
      const isRestored = !this.#seq && this.#restore()
      this.#note(
        `${message}. ${isRestored ? `What this tab had, up to seq ${this.#seq}, is here. ` : ''}Trying again …`,
      )
      if (!isRestored) return
      // From where it is now: the browser by itself would ask from the start.
      source.close()
      setTimeout(() => {
        if (this.#line === source) this.#connect()
      }, DROP_MS)
    })
    on('end', ({ outcome, reason, code }) => {
      source.close()
      this.#calm()
      this.#outcome = outcome ?? 'gone'
      this.#of('[data-note=away]').textContent = ''
      this.#pill('ended', 'ended')
      this.#note(inWords(this.#id, outcome, reason, code), outcome === 'stopped' ? '' : 'bad')
      this.#log(`the end: ${this.#outcome}${reason ? `, ${reason}` : ''}`)
    })
  }

  /** @param {{ title?: string, port?: number, readFrom: number, firstSeq: number, lastSeq: number, isLive: boolean }} about */
  #introduce({ title, port, readFrom, firstSeq, lastSeq, isLive }) {
    this.#note('')
    this.#seq ??= firstSeq - 1
    this.around.onTitle(title ?? '')
    this.#of('.where').textContent =
      port === readFrom
        ? `written and read through port ${port}`
        : `written by the server on port ${port}, read through port ${readFrom}`
    Object.assign(this.#replay, { to: lastSeq, from: this.#seq })
    if (this.#seq >= lastSeq) {
      if (this.#seq > 0 && isLive) this.#log(`resumed after seq ${this.#seq}: nothing was missed`)
      else if (isLive) this.#log(`reads from the start, through port ${readFrom}`)
    }
  }

  /** @param {{ seq: number, data: string }} chunk @param {string} cursor */
  #take({ seq, data }, cursor) {
    this.#cursor = cursor
    const due = (this.#seq ?? 0) + 1
    if (seq < due) {
      this.#counts.duplicates++
      return
    }
    this.#counts.gaps += seq - due
    this.#seq = seq
    const isReplayed = seq <= this.#replay.to
    this.#counts[isReplayed ? 'replayed' : 'live']++
    this.#render(data, isReplayed)
    if (!isReplayed) return
    this.#replay.count++
    if (seq === this.#replay.to) this.#resumed()
  }

  /** @param {string} data @param {boolean} isReplayed */
  #render(data, isReplayed) {
    this.#shown.push(data)
    this.#answer.render(JSON.parse(data), isReplayed)
  }

  get #place() {
    return `tidemark ${this.name}`
  }

  /** The page is left: what it shows is kept for as long as the tab is. */
  #keep() {
    const kept = { id: this.#id, cursor: this.#cursor, seq: this.#seq, shown: this.#shown }
    try {
      sessionStorage.setItem(this.#place, JSON.stringify(kept))
    } catch {
      // More than the browser keeps.
    }
  }

  /** Shows what the tab had before it was reloaded; whether there was anything. */
  #restore() {
    const { id, cursor, seq, shown } = JSON.parse(sessionStorage.getItem(this.#place) ?? '{}')
    if (id !== this.#id || !seq) return false
    for (const data of shown) this.#render(data, true)
    this.#cursor = cursor
    this.#seq = seq
    return true
  }

  /** Everything that had been written is here. */
  #resumed() {
    const { count, since, from } = this.#replay
    // The first few words of an answer that was just started are no resumption.
    if (from === 0 && count <= 3) return
    const took = Math.max(1, Math.round(performance.now() - since))
    const words = `${count} replayed in ${took} ms`
    this.#of('.resumed').textContent = `Resumed here: ${words}, live since.`
    this.#answer.mark(`resumed here: ${words}, live since`)
    this.#log(`${from === 0 ? 'from the start' : `resumed after seq ${from}`}: ${words}`)
  }

  /** @param {string} store @param {string} state */
  #tell(store, state) {
    const before = this.#of('[data-of=store]').textContent
    const now = store === 'memory' ? store : `${store}, ${state}`
    const cell = this.#of('[data-of=store]')
    cell.textContent = now
    cell.dataset.mood = state === 'reconnecting' ? 'warn' : state === 'degraded' ? 'bad' : ''
    const isAway = AWAY.includes(state)
    this.#of('[data-note=away]').textContent =
      isAway && !this.isOver
        ? `The server has lost its ${store}. What is written meanwhile waits until it is back.`
        : ''
    if (before !== now && (isAway || AWAY.some((each) => before?.endsWith(each)))) this.#log(now)
  }

  /** If the connection is not there soon, somebody has to say why. @param {EventSource} source */
  #expect(source) {
    this.#patience ??= setTimeout(async () => {
      const isThere = await answers(this.around.base)
      if (this.#line !== source || source.readyState === EventSource.OPEN) return
      this.#calm()
      if (!isThere) {
        this.#lose()
        // Some browsers give up.
        if (source.readyState === EventSource.CLOSED) this.#connect()
        else this.#expect(source)
      } else if (source.readyState === EventSource.CLOSED) this.#pill('dropped', 'refused by the server')
      this.#show()
    }, PATIENCE_MS)
  }

  #calm() {
    clearTimeout(this.#patience)
    this.#patience = undefined
  }

  #lose() {
    this.#pill('dropped', 'server away')
    if (this.#isLost) return
    this.#isLost = true
    this.#log(`the server on port ${this.around.port} does not answer`)
    this.#note(
      `The server on port ${this.around.port} does not answer. What it had sent, up to seq ${this.#seq ?? 0}, is here.`,
      'bad',
    )
    this.offer()
  }

  /** Another server that has the same answers. */
  async offer() {
    const note = this.#of('[data-note=reader]')
    for (const port of this.around.peers()) {
      const base = `${location.protocol}//${location.hostname}:${port}`
      if (!(await answers(base)) || !this.#isLost || note.querySelector('a')) continue
      note.append(' ')
      const link = child(note, 'a', `Go on with the server on port ${port}`)
      link.setAttribute('href', `${base}/#${encodeURIComponent(this.#id)}`)
    }
  }

  /** Once for all the events of a moment: a replayed answer comes in thousands at a time. */
  #showSoon() {
    this.#showing ??= setTimeout(() => {
      this.#showing = undefined
      this.#show()
    }, 20)
  }

  #show() {
    const cell = (/** @type {string} */ name, /** @type {unknown} */ value, mood = '') => {
      const element = this.#of(`[data-of=${name}]`)
      element.textContent = String(value)
      element.dataset.mood = mood
    }
    const { replayed, live, duplicates, gaps } = this.#counts
    cell('seq', this.#seq ?? '–')
    cell('replayed', replayed)
    cell('live', live)
    cell('duplicates', duplicates, duplicates === 0 ? 'good' : 'bad')
    cell('gaps', gaps, gaps === 0 ? 'good' : 'bad')
    const isWriting = !this.isOver && !this.#isLost
    const now = this.#outcome || (this.isOver ? '–' : this.#isLost ? 'not known' : 'writing')
    const moods = {
      complete: 'good',
      stopped: 'warn',
      failed: 'bad',
      interrupted: 'bad',
      gone: 'bad',
      'not known': 'warn',
    }
    cell('outcome', now, moods[/** @type {keyof typeof moods} */ (now)])
    if (this.#isLost) cell('store', 'not known', 'warn')
    this.#answer.busy = isWriting
    this.around.onChange()
  }

  /** @param {string} state @param {string} words */
  #pill(state, words) {
    const pill = this.#of('.pill')
    pill.dataset.line = state
    if (pill.textContent !== words) pill.textContent = words
  }

  /** @param {string} words */
  #note(words, kind = '') {
    const note = this.#of('[data-note=reader]')
    note.textContent = words
    note.dataset.kind = kind
  }

  /** @param {string} line */
  #log(line) {
    this.around.log(`${this.name}: ${line}`)
  }

  /** @param {string} selector */
  #of(selector) {
    return /** @type {HTMLElement} */ (this.root.querySelector(selector))
  }
}

/** Whether a server is there. @param {string} base */
export async function answers(base) {
  try {
    return (await fetch(`${base}/hello?alone`, { signal: AbortSignal.timeout(PATIENCE_MS) })).ok
  } catch {
    return false
  }
}

/** @param {string} id @param {string} outcome @param {string} reason @param {string} code */
function inWords(id, outcome, reason, code) {
  if (outcome === 'complete') return ''
  if (outcome === 'stopped') return `Stopped: ${reason}. What was written until then is all here.`
  if (outcome === 'failed') return `The answer failed: ${reason}`
  if (outcome === 'interrupted') {
    const why = {
      lease: 'nothing more was heard of the server that wrote it',
      superseded: 'it was started again',
      deleted: 'it was deleted',
    }[reason]
    return `The answer was interrupted: ${why ?? reason}. What had been stored by then is all here.`
  }
  if (code === 'ERR_NOT_FOUND')
    return `The answer ${id} does not exist, or no longer. Press Start for a new one.`
  if (code === 'ERR_GAP') return `Part of this answer is no longer stored: ${reason}`
  return `The server cannot show this answer: ${reason}`
}
