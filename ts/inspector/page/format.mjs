// Numbers, sizes, times, as people read them.

const NONE = '–'
const whole = new Intl.NumberFormat('en-US')
const tenth = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 })

/** @param {number | null | undefined} value */
export const number = (value) => (value == null ? NONE : whole.format(Math.round(value)))

/** @param {number | null | undefined} value */
export const rate = (value) =>
  value == null ? NONE : value > 0 && value < 10 ? tenth.format(value) : number(value)

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (value == null) return NONE
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let [size, unit] = [value, 0]
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000
    unit += 1
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : tenth.format(size)} ${units[unit]}`
}

/** @param {number | null | undefined} ms */
export function span(ms) {
  if (ms == null || !Number.isFinite(ms)) return NONE
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 1) return `${Math.round(seconds * 10) / 10} s`
  if (seconds < 100) return `${Math.floor(seconds)} s`
  if (seconds < 6000) return `${Math.floor(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** A short time. @param {number | null | undefined} seconds */
export function quick(seconds) {
  if (seconds == null) return NONE
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`
  if (seconds < 1) return `${tenth.format(seconds * 1000)} ms`
  return `${tenth.format(seconds)} s`
}

/** When something was, seen from now. @param {string | number} at @param {number} [now] */
export function since(at, now = Date.now()) {
  const ms = now - new Date(at).getTime()
  return ms < 1500 ? 'just now' : `${span(ms)} ago`
}

/** @param {string | number} at @param {number} [now] */
export const ago = (at, now = Date.now()) => span(now - new Date(at).getTime())

/** The time of day, with the day if it is not today. @param {string | number} at */
export function clock(at) {
  const date = new Date(at)
  const time = date.toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  })
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? time : `${date.toLocaleDateString([], { day: 'numeric', month: 'short' })}, ${time}`
}

/** Characters that cannot be seen, or that turn text round, made visible. @param {string} text */
export function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    character === '\n' || character === '\t' || character === '\u200d'
      ? character
      : `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}

/** The colour of a stream's state. @param {string} state @returns {string | undefined} */
export const moodOf = (state) => MOODS[state]

/** @type {Record<string, string>} */
const MOODS = {
  active: 'live',
  complete: 'good',
  stopped: 'warn',
  failed: 'bad',
  interrupted: 'odd',
}
