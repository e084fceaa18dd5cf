// The engine's metrics since the page was opened, at most those of the last five minutes.

import { get } from './api.mjs'
import { Chart } from './charts.mjs'
import { el, mark, scroller, write } from './dom.mjs'
import { bytes, number, quick, rate, span } from './format.mjs'
import { series, states } from './history.mjs'

/** @type {Record<import('../answers').EngineNow['state'], string>} */
const MOODS = {
  ready: 'good',
  idle: 'warn',
  connecting: 'warn',
  reconnecting: 'warn',
  degraded: 'bad',
  closed: 'bad',
}

/** @param {string} name @param {string} key */
const line = (name, key) => ({ name, series: series[key] })

const OUTSIDE =
  'What an engine counts (append and delivery times, readers, queues, memory of the process) is known in its own process: mount the inspector there to see it here, or scrape its metrics.'

const OWN =
  'What the whole engine counts is for those who see all streams; the numbers here are of yours alone.'

export class EngineView {
  name = 'engine'
  title = 'Engine'
  #strip = el('div', { class: 'strip', role: 'img' })
  #counters = el('tbody')
  #known = el('div')
  #note = el('p', { class: 'note' })
  #everywhere = [
    new Chart('Chunks/s, all servers', rate, [line('written', 'rate')]),
    new Chart('Streams', number, [line('active', 'active'), line('producers', 'producers')]),
    new Chart('Memory of a stream', bytes, [line('average', 'memory')]),
  ]
  #inside = [
    new Chart('Chunks/s, this process', rate, [line('in', 'in'), line('out', 'out')]),
    new Chart('Append time', quick, [line('p50', 'append50'), line('p99', 'append99')]),
    new Chart('Delivery time', quick, [line('p50', 'delivery50'), line('p99', 'delivery99')]),
    new Chart('Readers of this process', number, [line('readers', 'readers')]),
    new Chart('Waiting to be written', bytes, [line('queued', 'queued')]),
    new Chart('Memory of this process', bytes, [line('resident', 'rss')]),
  ]
  #insideCharts = el('div', { class: 'charts' }, ...this.#inside.map(({ element }) => element))

  constructor() {
    this.element = el(
      'div',
      null,
      el('h1', { class: 'unseen', text: 'Engine' }),
      el(
        'section',
        { class: 'card chart', 'aria-label': 'Connection' },
        el('div', { class: 'head' }, el('h2', { text: 'Connection to the store' })),
        this.#strip,
        el(
          'div',
          { class: 'axis' },
          el('span', { text: 'since this page was opened' }),
          el('span', { text: 'now' }),
        ),
      ),
      el('div', { class: 'gap' }),
      el('div', { class: 'charts' }, ...this.#everywhere.map(({ element }) => element)),
      this.#insideCharts,
      this.#known,
      this.#note,
    )
    this.#known.append(
      el(
        'section',
        { class: 'card counters', 'aria-label': 'Counters' },
        el('header', null, el('h2', { text: 'Counters of this process' })),
        scroller(
          'Counters of this process',
          el('table', null, el('caption', { class: 'unseen', text: 'Counters' }), this.#counters),
        ),
      ),
    )
  }

  ask() {
    return get('look', { metrics: 1 })
  }

  /** How soon the next one is asked for. @param {import('../answers').Answers['look']} answer */
  pause = ({ list }) => list.nextMs

  /** @param {import('../answers').Now} answer */
  show({ engine, viewer }) {
    const { inside, at } = engine
    for (const chart of this.#everywhere) chart.draw(at)
    this.#showStates()
    this.#known.hidden = this.#insideCharts.hidden = inside === null
    this.#note.hidden = inside !== null
    write(this.#note, viewer.owner === null ? OUTSIDE : OWN)
    if (inside === null) return
    for (const chart of this.#inside) chart.draw(at)
    this.#showCounters(inside)
  }

  #showStates() {
    while (this.#strip.childElementCount < states.length) this.#strip.append(el('i'))
    for (const [index, { state }] of states.entries())
      mark(/** @type {Element} */ (this.#strip.children[index]), 'data-mood', MOODS[state])
    const bad = states.filter(({ state }) => state !== 'ready').length
    mark(
      this.#strip,
      'aria-label',
      bad === 0 ? 'ready all the time' : `not ready in ${bad} of ${states.length} looks`,
    )
  }

  /** @param {import('../answers').Inside} inside */
  #showCounters(inside) {
    const { ended } = inside
    const rows = [
      ['Process', `${inside.pid}, up for ${span(inside.uptime * 1000)}`],
      [
        'Streams, producers, readers',
        [inside.streams, inside.producers, inside.readers].map(number).join(', '),
      ],
      [
        'Chunks written',
        `${number(inside.chunksIn)}, ${bytes(inside.bytesIn)}, in ${number(inside.batches)} batches`,
      ],
      ['Chunks delivered', `${number(inside.chunksOut)}, ${bytes(inside.bytesOut)}`],
      [
        'Ended',
        Object.entries(ended)
          .map(([outcome, count]) => `${outcome} ${number(count)}`)
          .join(', '),
      ],
      ['Resumed', `${number(inside.resumeHits)} from memory, ${number(inside.resumeMisses)} from the log`],
      ['Gaps told, repaired', [inside.gaps, inside.gapsRepaired].map(number).join(', ')],
      ['Retries, reconnects', [inside.retries, inside.reconnects].map(number).join(', ')],
    ]
    if (this.#counters.childElementCount === 0) {
      this.#counters.append(
        ...rows.map(([name]) =>
          el('tr', null, el('th', { scope: 'row', class: 'soft', text: name }), el('td')),
        ),
      )
    }
    for (const [index, [, text]] of rows.entries())
      write(/** @type {Element} */ (this.#counters.children[index]?.lastElementChild), text)
  }
}
