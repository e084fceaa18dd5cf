// Who writes a stream and who reads it, in words.

import { number, visible } from './format.mjs'

/** @typedef {import('../answers').Row} Row */

/** @param {number} count @param {string} one @param {string} [more] */
const some = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`

/** The process that writes, and how many more producers there are. @param {Pick<Row, 'process' | 'producers'>} stream */
export function writer({ process, producers }) {
  if (producers === 0) return '–'
  if (process === null) return number(producers)
  return producers === 1 ? visible(process) : `${visible(process)} + ${number(producers - 1)}`
}

/** Readers in the inspector's own process, and other processes with readers. @param {Pick<Row, 'readers'>} stream */
export function readers({ readers: { here, elsewhere } }) {
  const others = elsewhere ? some(elsewhere, 'process', 'processes') : ''
  if (here > 0) return others ? `${number(here)} + ${others}` : number(here)
  return others || (elsewhere === null ? '–' : '0')
}

/** The same as a sentence. @param {Pick<Row, 'readers'>} stream */
export function readersInWords({ readers: { here, elsewhere } }) {
  const own = `${some(here, 'reader')} in this process`
  if (elsewhere === null) return `${own}; of other processes it is not known`
  return elsewhere === 0 ? own : `${own}, ${some(elsewhere, 'other process', 'other processes')} with readers`
}
