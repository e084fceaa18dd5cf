// The history of a stream.

import { el } from './dom.mjs'
import { clock, visible } from './format.mjs'

/** @typedef {import('../answers').TimelineEvent} TimelineEvent */
/** @typedef {{ at: number, kind: 'gap', text: string, more: string, generation?: undefined }} Gap */

/** @type {Record<string, string | undefined>} */
const MOODS = {
  start: 'live',
  takeover: 'odd',
  producers: 'live',
  stop: 'warn',
  gone: 'bad',
  gap: 'bad',
  log: undefined,
}
/** @type {Record<string, string>} */
const ENDS = { complete: 'good', stopped: 'warn', failed: 'bad', interrupted: 'odd' }
const MOST = 100

export class Timeline {
  /** @type {Gap[]} */
  #gaps = []
  #shown = ''
  #list = el('ol', { class: 'timeline' })
  element = el(
    'section',
    { class: 'card', 'aria-label': 'Timeline' },
    el('header', null, el('h2', { text: 'Timeline' })),
    this.#list,
  )

  /** @param {{ at: number, resume: string }} gap */
  addGap({ at, resume }) {
    this.#gaps.push({
      at,
      kind: 'gap',
      text: 'a gap: chunks are gone',
      more: `what is left begins after ${resume}`,
    })
  }

  /** @param {TimelineEvent[]} timeline */
  show(timeline) {
    /** @type {(TimelineEvent | Gap)[]} */
    const all = [...timeline, ...this.#gaps].sort((one, other) => one.at - other.at).slice(-MOST)
    const key = JSON.stringify(all)
    if (key === this.#shown) return
    this.#shown = key
    /** @type {string | null} */
    let generation = ''
    this.#list.replaceChildren(
      ...all.map((each) => {
        const isNew = each.generation && each.generation !== generation
        if (isNew) generation = each.generation
        const mood = each.kind === 'end' ? ENDS[each.text.replace(/:.*/s, '')] : MOODS[each.kind]
        return el(
          'li',
          { 'data-mood': mood },
          el('strong', { text: visible(each.text) }),
          isNew && el('small', { class: 'mono', text: `generation ${each.generation}` }),
          'more' in each && el('small', { text: each.more }),
          el('time', { text: clock(each.at), dateTime: new Date(each.at).toISOString() }),
        )
      }),
    )
  }
}
