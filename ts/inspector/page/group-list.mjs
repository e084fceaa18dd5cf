// Groups, how far they are, and the dead letters of one of them.

import { el, scroller, write } from './dom.mjs'
import { number, visible } from './format.mjs'
import { Letters } from './letters.mjs'

/** @typedef {{ element: HTMLElement, behind: HTMLElement, held: HTMLElement, dead: HTMLElement, open: HTMLButtonElement }} GroupRow */

export class GroupList {
  #streamId
  /** @type {Map<string, GroupRow>} */
  #rows = new Map()
  #body = el('tbody')
  #letters = el('div')
  #table
  #none
  /** The group whose letters are shown. */
  #open = ''

  /** @param {string} title @param {string} nothing @param {string} [streamId] */
  constructor(title, nothing, streamId) {
    this.#streamId = streamId
    this.#none = el('p', { class: 'small-empty', text: nothing })
    const heads = ['Group', 'Behind', 'Held', 'Dead'].map((label, index) =>
      el('th', { scope: 'col', class: index > 0 ? 'number' : '', text: label }),
    )
    this.#table = scroller(
      title,
      el(
        'table',
        null,
        el('caption', { class: 'unseen', text: title }),
        el('thead', null, el('tr', null, ...heads)),
        this.#body,
      ),
    )
    this.element = el(
      'section',
      { class: 'card', 'aria-label': title },
      el('header', null, el('h2', { text: title })),
      this.#table,
      this.#letters,
      this.#none,
    )
  }

  /** @param {import('../answers').Group[]} groups @param {boolean} mayWrite */
  show(groups, mayWrite) {
    this.#table.hidden = groups.length === 0
    this.#none.hidden = groups.length > 0
    const sorted = groups.toSorted((one, other) => (one.group < other.group ? -1 : 1))
    const rows = new Map()
    for (const each of sorted) {
      const row = this.#rows.get(each.group) ?? this.#row(each.group, mayWrite)
      write(row.behind, number(each.behind))
      write(row.held, number(each.held))
      write(row.dead, number(each.dead))
      row.open.hidden = each.dead === 0
      row.dead.hidden = each.dead > 0
      write(row.open, `${number(each.dead)} · show`)
      rows.set(each.group, row)
    }
    if (rows.size !== this.#rows.size || [...rows.keys()].some((key) => !this.#rows.has(key))) {
      this.#body.replaceChildren(...[...rows.values()].map(({ element }) => element))
    }
    this.#rows = rows
  }

  /** @param {string} group @param {boolean} mayWrite @returns {GroupRow} */
  #row(group, mayWrite) {
    const [behind, held] = [el('td', { class: 'number' }), el('td', { class: 'number' })]
    const dead = el('span')
    const open = el('button', {
      type: 'button',
      hidden: true,
      'aria-expanded': 'false',
      onclick: () => this.#toggle(group, mayWrite),
    })
    const element = el(
      'tr',
      null,
      el('th', { scope: 'row', class: 'mono', text: visible(group) }),
      behind,
      held,
      el('td', { class: 'number' }, dead, open),
    )
    return { element, behind, held, dead, open }
  }

  /** @param {string} group @param {boolean} mayWrite */
  async #toggle(group, mayWrite) {
    this.#open = this.#open === group ? '' : group
    for (const [name, { open }] of this.#rows) open.setAttribute('aria-expanded', String(name === this.#open))
    if (this.#open === '') return this.#letters.replaceChildren()
    const letters = new Letters(group, this.#streamId)
    this.#letters.replaceChildren(letters.element)
    await letters.show(mayWrite).catch(() => {})
  }
}
