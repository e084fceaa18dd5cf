// Lists a group's dead letters, with buttons to retry or drop them if writing is allowed.

import { get, post } from './api.mjs'
import { tell } from './dialog.mjs'
import { arrange, el, mark, say } from './dom.mjs'
import { number, visible } from './format.mjs'

export class Letters {
  #group
  #streamId
  #list = el('ul', { class: 'letters', tabIndex: -1 })
  /** By key: those that stay are not made anew, and keep the focus. @type {Map<string, HTMLElement>} */
  #items = new Map()
  element = el('div', null, this.#list)

  /** @param {string} group @param {string | undefined} streamId */
  constructor(group, streamId) {
    this.#group = group
    this.#streamId = streamId
  }

  /** @param {boolean} mayWrite */
  async show(mayWrite) {
    const { letters, isCut } = await get('dead', { group: this.#group, id: this.#streamId })
    this.#items = new Map(
      letters.map((letter) => [letter.key, this.#items.get(letter.key) ?? this.#item(letter, mayWrite)]),
    )
    const items = [...this.#items.values()]
    if (isCut) items.push(el('li', { text: `The first ${letters.length} are shown.` }))
    if (items.length === 0) items.push(el('li', { text: 'No dead letters any more.' }))
    arrange(this.#list, items)
  }

  /** @param {import('../answers').Letter} letter @param {boolean} mayWrite */
  #item(letter, mayWrite) {
    const { key, deliveries } = letter
    const item = el(
      'li',
      null,
      el(
        'div',
        { class: 'about' },
        what(letter),
        el('div', {
          class: 'soft small',
          text: `handed out ${number(deliveries)} times, never acknowledged`,
        }),
      ),
    )
    if (!mayWrite) return item
    // Not `inert` or `disabled`, which take the focus away.
    let isBusy = false
    const busy = (/** @type {boolean} */ value) => {
      isBusy = value
      for (const button of item.querySelectorAll('button'))
        mark(button, 'aria-disabled', value ? 'true' : undefined)
    }
    /** @param {'retry' | 'drop'} action @param {string} said */
    const act = async (action, said) => {
      // Once is enough.
      if (isBusy) return
      busy(true)
      try {
        await post(action, {
          group: this.#group,
          key,
          ...(this.#streamId === undefined ? {} : { id: this.#streamId }),
        })
        say(said)
      } catch (error) {
        tell('That did not work', /** @type {Error} */ (error).message)
      }
      const hadFocus = item.contains(document.activeElement)
      await this.show(mayWrite).catch(() => {})
      busy(false)
      if (hadFocus && !item.isConnected) (this.#list.querySelector('button') ?? this.#list).focus()
    }
    item.append(
      el(
        'div',
        { class: 'buttons' },
        el('button', { type: 'button', text: 'Retry', onclick: () => act('retry', 'Handed out again') }),
        el('button', {
          type: 'button',
          class: 'danger',
          text: 'Give up',
          onclick: () => act('drop', 'Given up'),
        }),
      ),
    )
    return item
  }
}

/** @param {import('../answers').Letter} letter */
function what({ streamId, outcome, reason, seq, cursor, data, isGone }) {
  if (streamId !== undefined) {
    const link = el('a', {
      href: `#/stream?id=${encodeURIComponent(streamId)}`,
      class: 'mono',
      text: visible(streamId),
    })
    return el('div', null, link, ` ${outcome}${reason ? `: ${visible(reason)}` : ''}`)
  }
  const says = isGone ? 'can no longer be read' : data ? visible(data.text.slice(0, 160)) : ''
  return el('div', null, el('code', { text: `seq ${number(seq)}`, title: cursor }), says ? ` ${says}` : '')
}
