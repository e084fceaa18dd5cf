import { invalidArgument } from '../errors/errors'
import { suggestion } from '../util/suggestion'

declare global {
  // Node.js 20 has them; TypeScript lists them under ES2024.
  interface String {
    isWellFormed(): boolean
    toWellFormed(): string
  }
}

/** Returns the accepted value, or throws an `InvalidArgumentError` that names the field and what is accepted. */
export type Check<T> = (value: unknown, field: string) => T

type Checked<S> = { [K in keyof S]?: S[K] extends Check<infer T> ? T | undefined : never }

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const DURATION = /^(\d{1,12})(ms|s|m|h|d)$/

/** A value in the form for error messages: short, without the contents of objects, and never a URL, which may hold a password. */
function shown(value: unknown): string {
  if (typeof value === 'string') {
    const isHidden = value.length > 40 || /:\/\/|@/.test(value)
    return isHidden ? `a string of ${value.length} characters` : JSON.stringify(value)
  }
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  return typeof value === 'function' ? 'a function' : String(value)
}

/** The error of every check: what is accepted, what came instead, and what to do about that. */
export function refuse(field: string, accepted: string, value: unknown, advice = ''): never {
  throw invalidArgument(field, `must be ${accepted}, got ${shown(value)}${advice}`)
}

/** A whole number within bounds. */
export function integer(min: number, max: number, unit: string): Check<number> {
  return (value, field) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value
    return refuse(field, `a whole number of ${unit} from ${min} to ${max}`, value)
  }
}

/** Milliseconds, or text with a unit; the bounds are given as text and shown as they are. */
export function duration(min: string, max: string): Check<number> {
  const low = milliseconds(min) as number
  const high = milliseconds(max) as number
  return (value, field) => {
    const ms = typeof value === 'string' ? milliseconds(value) : value
    if (typeof ms === 'number' && Number.isInteger(ms) && ms >= low && ms <= high) return ms
    return refuse(
      field,
      `from ${min} to ${max}, as whole milliseconds or text such as '250ms', '90s', '1h'`,
      value,
    )
  }
}

function milliseconds(text: string): number | undefined {
  const [, digits, unit] = DURATION.exec(text) ?? []
  return digits === undefined ? undefined : Number(digits) * UNITS[unit as keyof typeof UNITS]
}

/** Well-formed text, bounded in bytes of UTF-8. The text itself is not shown: it may be somebody's name. */
export function text(minBytes: number, maxBytes: number): Check<string> {
  const accepted = `a string of ${minBytes} to ${maxBytes} bytes of UTF-8`
  return (value, field) => {
    if (typeof value !== 'string') return refuse(field, accepted, value)
    // A UTF-16 unit takes at least one byte, so an absurd length is refused without being measured.
    const bytes = value.length > maxBytes ? value.length : Buffer.byteLength(value)
    if (bytes < minBytes || bytes > maxBytes)
      throw invalidArgument(
        field,
        `must be ${accepted}, got ${bytes === 0 ? 'an empty one' : `${bytes} bytes`}`,
      )
    if (!value.isWellFormed()) throw invalidArgument(field, 'must be well-formed, got a lone surrogate')
    return value
  }
}

export const flag: Check<boolean> = (value, field) =>
  typeof value === 'boolean' ? value : refuse(field, 'true or false', value)

/** A list that has something in it. */
export function listOf<T>(check: Check<T>): Check<T[]> {
  return (value, field) => {
    if (!Array.isArray(value) || value.length === 0) return refuse(field, 'an array that is not empty', value)
    return value.map((each, index) => check(each, `${field}[${index}]`))
  }
}

/** An array with any elements. */
export const list: Check<readonly unknown[]> = (value, field) =>
  Array.isArray(value) ? value : refuse(field, 'an array', value)

/** One of a few words, or numbers. */
export function oneOf<const T extends string | number>(...words: readonly T[]): Check<T> {
  const accepted = words.map((word) => (typeof word === 'string' ? `'${word}'` : word)).join(' or ')
  return (value, field) => words.find((word) => word === value) ?? refuse(field, accepted, value)
}

/** A function of one argument. */
export function callback<T>(value: unknown, field: string): (given: T) => unknown {
  return typeof value === 'function' ? (value as (given: T) => unknown) : refuse(field, 'a function', value)
}

/** An object with these fields and no others. A field that is `undefined` counts as absent. */
export function object<S extends Record<string, Check<unknown>>>(fields: S): Check<Checked<S>> {
  const names = Object.keys(fields)
  return (value, field) => {
    if (value === undefined) return {}
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return refuse(field, `an object of ${names.join(', ')}`, value)
    const checked: Record<string, unknown> = {}
    for (const [name, given] of Object.entries(value)) {
      const check = Object.hasOwn(fields, name) ? fields[name] : undefined
      if (check === undefined)
        throw invalidArgument(
          `${field}.${name}`,
          `is not known, only ${names.join(', ')} are${suggestion(name, names)}`,
        )
      if (given !== undefined) checked[name] = check(given, `${field}.${name}`)
    }
    return checked as Checked<S>
  }
}

/** An object that has these methods. */
export function methods(accepted: string, ...names: string[]): Check<object> {
  return (value, field) => {
    const given = value as Record<string, unknown> | null | undefined
    return names.every((name) => typeof given?.[name] === 'function')
      ? (given as object)
      : refuse(field, accepted, value)
  }
}

/** Options that have no default. */
export function required<T extends object>(options: T, field: string, ...names: (keyof T & string)[]): void {
  for (const name of names) {
    if (options[name] === undefined) throw invalidArgument(`${field}.${name}`, 'is required')
  }
}
