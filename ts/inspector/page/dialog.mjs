// Dialogs: a question before a change, and a message after it.

import { el } from './dom.mjs'

/**
 * Asks a question. Resolves to the fields' values, or to null if it was cancelled.
 * @param {{ title: string, text: string, action: string, danger?: boolean, fields?: { name: string, label: string, value?: string, options?: [string, string][] }[] }} question
 * @returns {Promise<Record<string, string> | null>}
 */
export function ask({ title, text, action, danger = false, fields = [] }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('dialog'))
  const inputs = fields.map(({ name, label, value = '', options }) => {
    const input = options
      ? el('select', { name }, ...options.map(([key, words]) => el('option', { value: key, text: words })))
      : el('input', { type: 'text', name, value, autocomplete: 'off' })
    return { name, input, element: el('label', null, el('span', { text: label }), input) }
  })
  return new Promise((resolve) => {
    /** @param {Record<string, string> | null} value */
    const done = (value) => {
      dialog.close()
      resolve(value)
    }
    const cancel = el('button', { type: 'button', text: 'Cancel', onclick: () => done(null) })
    const form = el(
      'form',
      {
        method: 'dialog',
        onsubmit: (/** @type {SubmitEvent} */ event) => {
          event.preventDefault()
          done(Object.fromEntries(inputs.map(({ name, input }) => [name, input.value])))
        },
      },
      el('h2', { id: 'dialog-title', text: title }),
      el('p', { class: 'soft', text }),
      ...inputs.map(({ element }) => element),
      el(
        'div',
        { class: 'buttons' },
        cancel,
        el('button', { type: 'submit', class: danger ? 'danger' : 'main', text: action }),
      ),
    )
    dialog.replaceChildren(form)
    dialog.oncancel = () => resolve(null)
    dialog.showModal()
    if (inputs.length === 0) cancel.focus()
  })
}

/** Shows how it went. @param {string} title @param {string} text */
export function tell(title, text) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById('dialog'))
  const close = el('button', { type: 'button', class: 'main', text: 'Close', onclick: () => dialog.close() })
  dialog.replaceChildren(
    el('h2', { id: 'dialog-title', text: title }),
    el('p', { class: 'soft', text }),
    el('div', { class: 'buttons' }, close),
  )
  dialog.oncancel = null
  dialog.showModal()
}
