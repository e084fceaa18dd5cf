// Shown in place of an empty list.

import { el, svg } from './dom.mjs'

/** @param {string} title @param {string} text @param {string} [code] */
export function empty(title, text, code) {
  /** @param {number} y @param {number} opacity */
  const wave = (y, opacity) =>
    svg('path', {
      d: `M4 ${y}q11-11 22 0t22 0 22 0 22 0 22 0`,
      fill: 'none',
      stroke: 'currentColor',
      'stroke-width': 3,
      'stroke-linecap': 'round',
      opacity,
    })
  const drawing = svg(
    'svg',
    { viewBox: '0 0 118 54', 'aria-hidden': 'true' },
    wave(16, 0.9),
    wave(30, 0.5),
    wave(44, 0.25),
  )
  return el(
    'div',
    { class: 'empty' },
    drawing,
    el('h2', { text: title }),
    el('p', { text }),
    code && el('pre', { text: code, tabIndex: 0 }),
  )
}
