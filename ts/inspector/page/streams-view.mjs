// The list of streams: totals, search, and the table.

import { get, post } from './api.mjs'
import { Sparkline } from './charts.mjs'
import { ask, tell } from './dialog.mjs'
import { el, mark, say, write } from './dom.mjs'
import { empty } from './empty.mjs'
import { bytes, number, rate, span } from './format.mjs'
import { metricsNowAndThen, series } from './history.mjs'
import { ORDERS, StreamTable } from './stream-table.mjs'

/** @typedef {import('../answers').List} List */
/** @typedef {'rate' | 'active' | 'producers' | 'stored'} Tile */

const STATES = /** @type {const} */ (['active', 'complete', 'stopped', 'failed', 'interrupted'])
const TYPING_MS = 200

const EXAMPLE = `import { createEngine } from 'tidemark'

const engine = createEngine()
const producer = await engine.produce('chat-1')
producer.write('Hello')`

/** The streams in a state; undefined: all states are wanted. @param {Pick<List, 'states'>} list @param {string} state */
const countOf = ({ states }, state) => /** @type {Record<string, number | undefined>} */ (states)[state]

/** The list's query, kept while other views are shown. */
const wanted = { q: '', state: '', sort: 'state', order: 'down', page: 1 }

/** Whether the next list is to have all that is there by then. */
let isFresh = false

/** Makes the next list a fresh one. */
export function surveyNext() {
  isFresh = true
}

export class StreamsView {
  name = 'streams'
  title = 'Streams'
  #renew
  #typing = 0
  /** @type {Map<Tile, { value: HTMLElement, spark: Sparkline }>} */
  #tiles = new Map()
  /** @type {Map<string, { button: HTMLElement, count: HTMLElement }>} */
  #states = new Map()
  #table = new StreamTable((key) => this.#sortBy(key))
  // For narrow pages, where the table has no head.
  #order = el(
    'select',
    {
      'aria-label': 'Sort by',
      onchange: (/** @type {{ target: HTMLSelectElement }} */ { target }) =>
        this.#change({ sort: target.value, order: 'down' }),
    },
    ...ORDERS.map(([value, text]) => el('option', { value, text })),
  )
  #reverse = el('button', { type: 'button', onclick: () => this.#sortBy(wanted.sort) })
  #nothing = el('div')
  #age = el('span', { class: 'soft small' })
  #pages = el('span')
  #previous = el('button', { type: 'button', text: 'Previous', onclick: () => this.#turn(-1) })
  #next = el('button', { type: 'button', text: 'Next', onclick: () => this.#turn(1) })
  #pager = el('div', { class: 'pager' }, this.#pages, el('div', null, this.#previous, this.#next))
  #cleanup = el('button', { type: 'button', text: 'Clean up …', hidden: true, onclick: () => this.#clean() })

  /** @param {() => void} renew asks at once */
  constructor(renew) {
    this.#renew = renew
    const search = el('input', {
      type: 'search',
      placeholder: 'Search by id or owner',
      'aria-label': 'Search by id or owner',
      value: wanted.q,
      spellcheck: false,
      oninput: (/** @type {{ target: HTMLInputElement }} */ { target }) => this.#search(target.value),
    })
    this.element = el(
      'div',
      null,
      el('h1', { class: 'unseen', text: 'Streams' }),
      el(
        'dl',
        { class: 'tiles' },
        this.#tile('rate', 'Chunks a second', new Sparkline()),
        this.#tile('active', 'Active streams', new Sparkline()),
        this.#tile('producers', 'Producers', new Sparkline()),
        this.#tile('stored', 'Stored', new Sparkline()),
      ),
      el(
        'div',
        { class: 'tools' },
        el('div', { class: 'search' }, search),
        this.#filter(),
        el(
          'div',
          { class: 'push' },
          this.#age,
          ' ',
          el('span', { class: 'sorting' }, this.#order, this.#reverse),
          el('button', { type: 'button', class: 'quiet', text: 'Refresh', onclick: () => this.#refresh() }),
          this.#cleanup,
        ),
      ),
      el(
        'section',
        { class: 'card list', 'aria-label': 'Streams' },
        this.#table.element,
        this.#nothing,
        this.#pager,
      ),
    )
  }

  ask() {
    const fresh = isFresh ? 1 : undefined
    isFresh = false
    return get('look', { ...wanted, fresh, metrics: metricsNowAndThen() })
  }

  /** How soon the next one is asked for. @param {import('../answers').Answers['look']} answer */
  pause = ({ list }) => list.nextMs

  /** @param {import('../answers').Answers['look']} answer */
  show({ list, viewer, engine }) {
    const now = engine.at
    for (const [name, { value, spark }] of this.#tiles) {
      spark.draw(series[name], now)
      write(
        value,
        {
          rate: () => rate(list.rate),
          active: () => number(list.active),
          producers: () => number(list.producers),
          stored: () => bytes(list.storedBytes),
        }[name](),
      )
    }
    for (const [state, { button, count }] of this.#states) {
      const all = STATES.reduce((sum, each) => sum + list.states[each], 0)
      write(count, number(countOf(list, state) ?? all))
      button.setAttribute('aria-pressed', String(wanted.state === state))
    }
    this.#table.show(list.rows, now, wanted)
    this.#order.value = wanted.sort
    const isUp = wanted.order === 'up'
    write(this.#reverse, isUp ? '↑' : '↓')
    mark(this.#reverse, 'aria-label', isUp ? 'Ascending' : 'Descending')
    this.#table.element.hidden = list.rows.length === 0
    this.#showNothing(list)
    this.#showPages(list)
    const isOld = list.everyMs > 2500
    const age = list.ageMs < 1_000 ? 'just now' : `${span(list.ageMs)} ago`
    write(this.#age, isOld ? `sorted ${age}, every ${span(list.everyMs)}` : '')
    this.#cleanup.hidden = !viewer.write || viewer.owner !== null
  }

  /** @param {Tile} name @param {string} label @param {Sparkline} spark */
  #tile(name, label, spark) {
    const value = el('dd', { text: '–' })
    this.#tiles.set(name, { value, spark })
    return el(
      'div',
      { class: 'tile' },
      el('dt', { text: label }),
      value,
      el('dd', { class: 'spark', 'aria-hidden': 'true' }, spark.element),
    )
  }

  #filter() {
    const buttons = ['', ...STATES].map((state) => {
      const count = el('b', { text: '' })
      const onclick = () => this.#change({ state })
      const button = el('button', { type: 'button', 'aria-pressed': 'false', onclick }, state || 'all', count)
      this.#states.set(state, { button, count })
      return button
    })
    return el('div', { class: 'choice', role: 'group', 'aria-label': 'State' }, ...buttons)
  }

  /** @param {List} list */
  #showNothing({ rows, total, states }) {
    if (rows.length > 0) return this.#nothing.replaceChildren()
    if (this.#nothing.childElementCount > 0 && this.#nothing.dataset.total === String(total)) return
    this.#nothing.dataset.total = String(total)
    const others = STATES.some((state) => states[state] > 0) && wanted.state !== ''
    this.#nothing.replaceChildren(
      total === 0
        ? empty(
            'No streams yet',
            'They appear here as soon as a producer starts one under this prefix.',
            EXAMPLE,
          )
        : empty(
            others ? `Nothing is ${wanted.state}` : 'Nothing matches',
            others
              ? 'Streams in other states are there.'
              : `None of the ${number(total)} streams has this in its id or owner.`,
          ),
    )
  }

  /** @param {List} list */
  #showPages({ page, pages, rows, found, total, states, isCut, damaged }) {
    wanted.page = page
    const matching = countOf({ states }, wanted.state) ?? found
    const some =
      matching < total
        ? `${number(matching)} of ${number(total)} streams`
        : `${number(total)} ${total === 1 ? 'stream' : 'streams'}`
    const more = isCut ? ' (the first 20,000 found)' : ''
    const broken = damaged > 0 ? `, and ${number(damaged)} damaged, which tidemark ls names` : ''
    write(
      this.#pages,
      `${some}${more}${broken}${pages > 1 ? `, page ${number(page)} of ${number(pages)}` : ''}`,
    )
    this.#previous.hidden = this.#next.hidden = pages <= 1
    this.#previous.disabled = page <= 1
    this.#next.disabled = page >= pages
    this.#pager.hidden = rows.length === 0
  }

  /** @param {string} text */
  #search(text) {
    clearTimeout(this.#typing)
    this.#typing = setTimeout(() => {
      // What began since the last survey is to be found too.
      if (text.trim() !== '') surveyNext()
      this.#change({ q: text.trim() })
    }, TYPING_MS)
  }

  /** @param {string} key */
  #sortBy(key) {
    const isSame = wanted.sort === key
    this.#change({ sort: key, order: isSame && wanted.order === 'down' ? 'up' : 'down' })
  }

  /** @param {number} step */
  #turn(step) {
    this.#change({ page: wanted.page + step })
    say(`Page ${wanted.page}`)
  }

  /** @param {Partial<typeof wanted>} to */
  #change(to) {
    Object.assign(wanted, { page: 1 }, to)
    this.#nothing.replaceChildren()
    this.#renew()
  }

  #refresh() {
    surveyNext()
    this.#renew()
  }

  async #clean() {
    /** @type {Parameters<typeof ask>[0]['fields']} */
    const fields = [
      { name: 'olderThan', label: 'Not written to for (30m, 1h, 7d)', value: '1h' },
      {
        name: 'outcome',
        label: 'That ended as',
        options: [
          ['', 'anything'],
          ['complete', 'complete'],
          ['stopped', 'stopped'],
          ['failed', 'failed'],
          ['interrupted', 'interrupted'],
        ],
      },
    ]
    const given = await ask({
      title: 'Clean up finished streams',
      text: 'Live streams stay. First it is counted how many would go.',
      action: 'Count them',
      fields,
    })
    if (given === null) return
    const body = {
      olderThan: given.olderThan,
      ...(given.outcome === '' ? {} : { outcomes: [given.outcome] }),
    }
    try {
      const { removed } = await post('cleanup', { ...body, dryRun: true })
      if (removed === 0) return tell('Nothing to clean up', 'No finished stream is as old as that.')
      const really = await ask({
        title: `Remove ${number(removed)} ${removed === 1 ? 'stream' : 'streams'}?`,
        text: 'They cannot be brought back.',
        action: 'Remove them',
        danger: true,
      })
      if (really === null) return
      const report = await post('cleanup', body)
      say(`${number(report.removed)} streams removed`)
      this.#refresh()
    } catch (error) {
      tell('That did not work', /** @type {Error} */ (error).message)
    }
  }
}
