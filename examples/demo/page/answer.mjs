// Shows the parts of an AI SDK UI message stream, and where replay ends and life begins.

/** Long texts get a node for each few thousand characters, as appending copies a node's text. */
const MAX_NODE = 4000

export class Answer {
  #root
  #parts = new Map()
  /** What was last written into. */
  #at

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root
    this.#at = root
  }

  clear() {
    this.#root.replaceChildren()
    this.#parts.clear()
    this.#at = this.#root
  }

  /** Whether it is being written. @param {boolean} isBusy */
  set busy(isBusy) {
    this.#root.setAttribute('aria-busy', String(isBusy))
  }

  /** Says, at the place where the text is now, what came before it. @param {string} words */
  mark(words) {
    const at = this.#at
    const isInSight = at.matches('.text') && at.closest('details:not([open])') === null
    child(isInSight ? at : this.#root, 'em', words, 'mark')
  }

  /** @param {any} part @param {boolean} isReplayed */
  render(part, isReplayed) {
    const open = this.#parts.get(part.id ?? part.toolCallId)
    switch (part.type) {
      case 'reasoning-start': {
        const box = this.#add('details', '')
        box.open = true
        child(box, 'summary', 'Thinking …')
        this.#parts.set(part.id, child(box, 'div', '', 'text'))
        break
      }
      case 'reasoning-end':
        // A mark stays in sight.
        open.parentElement.open = open.querySelector('.mark') !== null
        open.previousElementSibling.textContent = 'Thoughts'
        break
      case 'text-start':
        this.#parts.set(part.id, this.#add('div', 'text'))
        break
      case 'reasoning-delta':
      case 'text-delta':
        this.#at = open
        append(isReplayed ? replayedIn(open) : open, part.delta)
        break
      case 'tool-input-start': {
        const card = this.#add('section', 'tool')
        child(child(card, 'h3', part.toolName), 'span', 'getting its input …')
        child(card, 'pre', '')
        this.#parts.set(part.toolCallId, card)
        break
      }
      case 'tool-input-delta':
        append(open.querySelector('pre'), part.inputTextDelta)
        break
      case 'tool-input-available':
        open.querySelector('span').textContent = 'running …'
        open.querySelector('pre').textContent = JSON.stringify(part.input, null, 2)
        break
      case 'tool-output-available':
        open.querySelector('span').textContent = 'done'
        if (Array.isArray(part.output)) open.append(table(part.output))
        else child(open, 'pre', JSON.stringify(part.output, null, 2))
        break
    }
  }

  /** @param {string} tag @param {string} name @returns {any} */
  #add(tag, name) {
    this.#at = child(this.#root, tag, '', name)
    return this.#at
  }
}

/** Where replayed text goes, which stands out. @param {HTMLElement} element */
function replayedIn(element) {
  const last = /** @type {HTMLElement | null} */ (element.lastChild)
  return last instanceof HTMLElement && last.className === 'replayed'
    ? last
    : child(element, 'span', '', 'replayed')
}

/** @param {HTMLElement} element @param {string} text */
function append(element, text) {
  const last = element.lastChild
  if (last instanceof Text && last.length < MAX_NODE) last.appendData(text)
  else element.append(text)
}

/** @param {Element} parent @param {string} tag @param {string} text @returns {HTMLElement} */
export function child(parent, tag, text, name = '') {
  const element = document.createElement(tag)
  if (text !== '') element.textContent = text
  if (name !== '') element.className = name
  parent.append(element)
  return element
}

/** @param {Record<string, unknown>[]} rows */
function table(rows) {
  const element = document.createElement('table')
  const names = Object.keys(rows[0] ?? {})
  const head = child(child(element, 'thead', ''), 'tr', '')
  for (const name of names) child(head, 'th', name).setAttribute('scope', 'col')
  const body = child(element, 'tbody', '')
  for (const row of rows) {
    const line = child(body, 'tr', '')
    for (const name of names) child(line, 'td', String(row[name]))
  }
  return element
}
