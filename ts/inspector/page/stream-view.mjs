// The page of a stream: its facts, its chunks as they come, its history, and what can be done with it.

import { get, post } from './api.mjs'
import { ask, tell } from './dialog.mjs'
import { el, mark, say, scroller, write } from './dom.mjs'
import { empty } from './empty.mjs'
import { ago, bytes, clock, moodOf, number, rate, since, span, visible } from './format.mjs'
import { GroupList } from './group-list.mjs'
import { metricsNowAndThen } from './history.mjs'
import { Player } from './player.mjs'
import { surveyNext } from './streams-view.mjs'
import { Timeline } from './timeline.mjs'
import { readers, readersInWords } from './who.mjs'

const UNKNOWN =
  'Of another process it is only known that it reads: its own metrics say how many readers it has. One that reads what it alone writes does not show.'

export class StreamView {
  name = 'streams'
  #id
  #renew
  /** @type {Map<string, { value: HTMLElement, more: HTMLElement }>} */
  #facts = new Map()
  #generation = el('p', { class: 'generation soft small mono' })
  #state = el('span', { class: 'pill' })
  #stop = el('button', { type: 'button', text: 'Stop …', hidden: true, onclick: () => this.#askStop() })
  #delete = el('button', {
    type: 'button',
    class: 'danger',
    text: 'Delete …',
    hidden: true,
    onclick: () => this.#askDelete(),
  })
  #consumers = new Consumers()
  #timeline = new Timeline()
  #groups
  #player
  #metadata = el('pre', { class: 'mono small' })
  #about = el(
    'section',
    { class: 'card', hidden: true },
    el('header', null, el('h2', { text: 'Metadata' })),
    scroller('Metadata', this.#metadata, 'inside wide'),
  )
  #content
  #missing = el(
    'div',
    { class: 'card', hidden: true },
    empty(
      'There is no such stream',
      'It has expired or was deleted, its id is another, or it begins later: then it appears here.',
    ),
  )

  /** @param {string} id @param {() => void} renew */
  constructor(id, renew) {
    this.#id = id
    this.#renew = renew
    this.title = visible(id)
    this.#player = new Player(id, (gap) => this.#timeline.addGap(gap))
    this.#groups = new GroupList('Groups', 'No group shares these chunks.', id)
    this.#content = el(
      'div',
      { hidden: true },
      el('dl', { class: 'card facts' }, ...FACTS.map(([name, label]) => this.#fact(name, label))),
      el(
        'div',
        { class: 'columns' },
        el('div', { class: 'stack' }, this.#player.element, this.#groups.element),
        el('div', { class: 'stack' }, this.#timeline.element, this.#consumers.element, this.#about),
      ),
      el('p', { class: 'note', text: UNKNOWN }),
    )
    this.element = el(
      'article',
      null,
      el('p', { class: 'crumbs' }, el('a', { href: '#/', text: '← All streams' })),
      el(
        'div',
        { class: 'title' },
        el('h1', { text: visible(id) }),
        this.#state,
        el('div', { class: 'push' }, this.#stop, this.#delete),
      ),
      this.#generation,
      this.#content,
      this.#missing,
    )
  }

  ask() {
    return get('stream', { id: this.#id, metrics: metricsNowAndThen() })
  }

  /** @param {import('../answers').Answers['stream']} answer */
  show({ stream, viewer, engine }) {
    this.#missing.hidden = stream !== null
    this.#content.hidden = stream === null
    this.#stop.hidden = !viewer.write || stream?.state !== 'active'
    this.#delete.hidden = !viewer.write || stream === null
    write(
      this.#state,
      stream === null
        ? 'not there'
        : stream.stop !== null && stream.state === 'active'
          ? 'stopping'
          : stream.state,
    )
    mark(this.#state, 'data-mood', stream === null ? undefined : moodOf(stream.state))
    write(this.#generation, stream === null ? '' : `generation ${stream.generation}`)
    if (stream === null) return
    for (const [name, , value, more] of FACTS) {
      const fact = this.#facts.get(name)
      if (fact === undefined) continue
      write(fact.value, value(stream, engine.at))
      write(fact.more, more?.(stream, engine.at) ?? '')
    }
    this.#consumers.show(stream)
    this.#groups.show(stream.groups, viewer.write)
    this.#timeline.show(stream.timeline)
    this.#about.hidden = stream.metadata == null
    if (stream.metadata != null) write(this.#metadata, visible(JSON.stringify(stream.metadata, null, 2)))
    this.#player.follow(stream, viewer.showData)
    this.#player.tick(Date.now())
  }

  leave() {
    this.#player.end()
  }

  /** @param {string} name @param {string} label */
  #fact(name, label) {
    const [value, more] = [el('span'), el('small')]
    this.#facts.set(name, { value, more })
    return el('div', null, el('dt', { text: label }), el('dd', null, value, more))
  }

  async #askStop() {
    const given = await ask({
      title: 'Stop this stream?',
      text: 'Its producers are told, wherever they run. What is written so far stays.',
      action: 'Stop it',
      fields: [{ name: 'reason', label: 'Why, for producers and readers (may be empty)' }],
    })
    if (given !== null)
      await this.#do('stop', { id: this.#id, reason: given.reason }, 'The producers are told')
  }

  async #askDelete() {
    const given = await ask({
      title: 'Delete this stream?',
      text: 'Its readers end as interrupted, its producers are fenced, and all of it is gone.',
      action: 'Delete it',
      danger: true,
    })
    if (given !== null) await this.#do('delete', { id: this.#id }, 'Deleted')
  }

  /** @param {'stop' | 'delete'} name @param {object} body @param {string} said */
  async #do(name, body, said) {
    try {
      await post(name, body)
      surveyNext()
      say(said)
    } catch (error) {
      tell('That did not work', /** @type {Error} */ (error).message)
    }
    this.#renew()
  }
}

/** @typedef {import('../answers').Stream} Stream */

/**
 * Name, label, value, and the text below the value.
 * @type {[string, string, (stream: Stream, at: number) => string, ((stream: Stream, at: number) => string)?][]}
 */
const FACTS = [
  ['rate', 'Chunks a second', ({ rate: value }) => rate(value)],
  [
    'chunks',
    'Chunks',
    ({ firstSeq, lastSeq }) => number(lastSeq - firstSeq + 1),
    ({ firstSeq, lastSeq }) =>
      lastSeq >= firstSeq ? `seq ${number(firstSeq)} to ${number(lastSeq)}` : 'none yet',
  ],
  [
    'size',
    'Size',
    ({ bytes: size }) => bytes(size),
    ({ storedBytes, memoryBytes }) =>
      `${bytes(storedBytes)} stored${memoryBytes === null ? '' : `, ${bytes(memoryBytes)} of memory`}`,
  ],
  [
    'producers',
    'Producers',
    ({ producers }) => number(producers),
    ({ process, stop }) =>
      [process === null ? '' : visible(process), stop === null ? '' : asked(stop)].filter(Boolean).join(', '),
  ],
  ['readers', 'Readers', (stream) => readers(stream), (stream) => readersInWords(stream)],
  ['owner', 'Owner', ({ owner }) => (owner === null ? 'anybody' : visible(owner))],
  [
    'started',
    'Age',
    ({ startedAt }, now) => ago(startedAt, now),
    ({ startedAt }) => `since ${clock(startedAt)}`,
  ],
  [
    'write',
    'Last write',
    ({ updatedAt }, now) => since(updatedAt, now),
    ({ ttlMs }) => `expires in ${span(ttlMs)}`,
  ],
]

/** @param {string} reason */
const asked = (reason) => (reason ? `asked to stop: ${visible(reason)}` : 'asked to stop')

class Consumers {
  #body = el('tbody')
  #none = el('p', { class: 'small-empty', text: 'No consumer keeps its place here.' })
  #table = scroller(
    'Consumers',
    el(
      'table',
      null,
      el('caption', { class: 'unseen', text: 'Consumers' }),
      el(
        'thead',
        null,
        el(
          'tr',
          null,
          el('th', { scope: 'col', text: 'Consumer' }),
          el('th', { scope: 'col', class: 'number', text: 'At seq' }),
          el('th', { scope: 'col', class: 'number', text: 'Lag' }),
        ),
      ),
      this.#body,
    ),
  )
  element = el(
    'section',
    { class: 'card', 'aria-label': 'Consumers' },
    el('header', null, el('h2', { text: 'Consumers' })),
    this.#table,
    this.#none,
  )

  /** @param {Stream} stream */
  show({ consumers, firstSeq, lastSeq }) {
    this.#table.hidden = consumers.length === 0
    this.#none.hidden = consumers.length > 0
    const all = Math.max(1, lastSeq - firstSeq + 1)
    const sorted = consumers.toSorted((one, other) => other.lag - one.lag)
    this.#body.replaceChildren(
      ...sorted.map(({ consumer, cursor, lag }) => {
        const meter = el('meter', { min: 0, max: all, value: Math.min(lag, all), 'aria-label': 'Lag' })
        return el(
          'tr',
          null,
          el('th', { scope: 'row', text: visible(consumer) }),
          el('td', {
            class: 'number',
            title: cursor,
            text: number(Number(cursor.slice(cursor.indexOf('.') + 1))),
          }),
          el('td', { class: 'number' }, el('div', { class: 'behind' }, number(lag), meter)),
        )
      }),
    )
  }
}
