// The table of streams. Rows are updated, not replaced, so that focus and selection stay.

import { Sparkline } from './charts.mjs'
import { arrange, el, mark, write } from './dom.mjs'
import { ago, bytes, moodOf, number, rate, since, visible } from './format.mjs'
import { Series } from './series.mjs'
import { readers, readersInWords, writer } from './who.mjs'

/** @typedef {import('../answers').Row} Status */

/** How much of the time the curve of a row shows. */
const PULSE_MS = 60_000

/** Key, label and class; without a key it cannot be sorted by. @type {[string | undefined, string, string][]} */
const COLUMNS = [
  ['state', 'State', ''],
  ['stream', 'Stream', 'id'],
  ['owner', 'Owner', ''],
  ['rate', 'Chunks/s', 'number'],
  [undefined, 'Last minute', ''],
  ['chunks', 'Chunks', 'number'],
  ['size', 'Size', 'number'],
  ['producers', 'Producer', ''],
  ['readers', 'Readers', 'number'],
  ['lag', 'Lag', 'number'],
  ['started', 'Age', 'number'],
  ['lastWrite', 'Last write', 'number'],
]

/** What the list can be sorted by. @type {[string, string][]} */
export const ORDERS = COLUMNS.flatMap(([key, label]) => (key === undefined ? [] : [[key, label]]))

export class StreamTable {
  /** @type {Map<string, Row>} */
  #rows = new Map()
  #body = el('tbody')
  /** @type {Map<string, HTMLElement>} */
  #heads = new Map()

  /** @param {(key: string) => void} sortBy */
  constructor(sortBy) {
    const heads = COLUMNS.map(([key, label, kind]) => {
      if (key === undefined) return el('th', { scope: 'col', text: label })
      const head = el(
        'th',
        { scope: 'col', class: kind },
        el('button', { type: 'button', text: label, onclick: () => sortBy(key) }),
      )
      this.#heads.set(key, head)
      return head
    })
    this.element = el(
      'div',
      { class: 'wide' },
      el(
        'table',
        null,
        el('caption', { class: 'unseen', text: 'Streams' }),
        el('thead', null, el('tr', null, ...heads)),
        this.#body,
      ),
    )
  }

  /** @param {Status[]} list @param {number} now @param {{ sort: string, order: string }} wanted */
  show(list, now, { sort, order }) {
    mark(this.element, 'data-sort', sort)
    for (const [key, head] of this.#heads) {
      mark(head, 'aria-sort', key === sort ? (order === 'up' ? 'ascending' : 'descending') : undefined)
    }
    const rows = new Map()
    for (const status of list) {
      const row = this.#rows.get(status.streamId) ?? new Row(status.streamId)
      row.show(status, now)
      rows.set(status.streamId, row)
    }
    this.#rows = rows
    arrange(
      this.#body,
      [...rows.values()].map(({ element }) => element),
    )
  }
}

class Row {
  #state = el('span', { class: 'state' })
  #owner = el('td', { class: 'owner', 'data-of': 'Owner' })
  #rate = cell('Chunks/s')
  #chunks = cell('Chunks')
  #size = cell('Size')
  #producer = el('td', { class: 'process less', 'data-of': 'Producer' })
  #readers = cell('Readers', 'less')
  #lag = cell('Lag', 'less')
  #age = cell('Age')
  #write = cell('Last write', 'less')
  #series = new Series()
  #spark = new Sparkline(PULSE_MS)

  /** @param {string} id */
  constructor(id) {
    const link = el('a', {
      href: `#/stream?id=${encodeURIComponent(id)}`,
      text: visible(id),
      title: visible(id),
    })
    this.element = el(
      'tr',
      null,
      el('td', { class: 'state-cell' }, this.#state),
      el('th', { scope: 'row', class: 'id' }, link),
      this.#owner,
      this.#rate,
      el('td', { class: 'pulse' }, this.#spark.element),
      this.#chunks,
      this.#size,
      this.#producer,
      this.#readers,
      this.#lag,
      this.#age,
      this.#write,
    )
  }

  /** @param {Status} status @param {number} now */
  show(status, now) {
    const { state, owner, firstSeq, lastSeq, startedAt, updatedAt, lag } = status
    write(this.#state, status.stop !== null && state === 'active' ? 'stopping' : state)
    mark(this.#state, 'data-mood', moodOf(state))
    const shown = owner === null ? '–' : visible(owner)
    write(this.#owner, shown)
    mark(this.#owner, 'title', owner === null ? undefined : shown)
    write(this.#rate, rate(status.rate))
    write(this.#chunks, number(lastSeq - firstSeq + 1))
    write(this.#size, bytes(status.bytes))
    write(this.#producer, writer(status))
    mark(this.#producer, 'title', status.process === null ? undefined : writer(status))
    write(this.#readers, readers(status))
    mark(this.#readers, 'title', readersInWords(status))
    write(this.#lag, number(lag))
    write(this.#age, ago(startedAt, now))
    write(this.#write, since(updatedAt, now))
    this.#spark.element.hidden = state !== 'active'
    this.#series.add(now, status.rate)
    this.#spark.draw(this.#series, now)
  }
}

/** @param {string} of @param {string} [more] */
function cell(of, more = '') {
  return el('td', { class: `number ${more}`, 'data-of': of })
}
