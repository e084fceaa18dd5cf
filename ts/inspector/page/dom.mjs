// Makes elements without parsing HTML, so that no text from a stream is taken for markup.

const SVG = 'http://www.w3.org/2000/svg'

/** A listener takes the events of its kind. @typedef {string | number | boolean | null | undefined | ((event: any) => unknown)} Property */

/**
 * Makes an element. Properties that begin with `on` are listeners; `role`, `for` and names with a hyphen are attributes; undefined, null
 * and false are left out.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, Property> | null} [properties]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, properties, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties ?? {})) set(element, name, value)
  for (const child of children)
    if (child !== null && child !== undefined && child !== false) element.append(child)
  return element
}

/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag @param {Record<string, string | number>} [attributes] @param {...Node} children
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  element.append(...children)
  return element
}

/** @param {HTMLElement} element @param {string} name @param {Property} value */
function set(element, name, value) {
  if (value === undefined || value === null || value === false) return
  if (typeof value === 'function') element.addEventListener(name.slice('on'.length), value)
  else if (name.includes('-') || name === 'role' || name === 'for') element.setAttribute(name, String(value))
  else if (name === 'class') element.className = String(value)
  else if (name === 'text') element.textContent = String(value)
  else Object.assign(element, { [name]: value })
}

/** Sets an element's text if it has changed. @param {Element} element @param {string} text */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** @param {Element} element @param {string} name @param {string | undefined} value */
export function mark(element, name, value) {
  if (value === undefined) element.removeAttribute(name)
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value)
}

/**
 * Puts exactly these children into an element, without touching those that are in their places.
 * @param {Element} parent @param {Iterable<Element>} children
 */
export function arrange(parent, children) {
  const focused = document.activeElement
  let place = parent.firstChild
  for (const child of children) {
    if (child === place) place = place.nextSibling
    else parent.insertBefore(child, place)
  }
  while (place) {
    const next = place.nextSibling
    place.remove()
    place = next
  }
  // An element that is moved loses the focus.
  if (focused instanceof HTMLElement && focused !== document.activeElement && parent.contains(focused))
    focused.focus({ preventScroll: true })
}

/** An area that scrolls sideways, also by keyboard. @param {string} label @param {Node} child */
export function scroller(label, child, kind = 'wide') {
  return el('div', { class: kind, tabIndex: 0, role: 'group', 'aria-label': label }, child)
}

/** Announces something to screen readers. @param {string} text */
export function say(text) {
  const line = document.getElementById('said')
  if (line) line.textContent = text
}
