import type { Duration } from '../../index'
import type { Engine } from '../core/engine'
import type { Config } from '../options/options'
import type { Output } from './output'

/** An option of a command, for `parseArgs` and for its help. */
export interface Option {
  type: 'string' | 'boolean'
  short?: string
  multiple?: boolean
  /** The placeholder of the value in the help. */
  value?: string
  help: string
}

export type Values = Record<string, string | boolean | (string | boolean)[] | undefined>

/** What a command gets. */
export interface Context {
  engine: Engine
  /** The engine's options. */
  config: Config
  /** The engine's URL, without user and password. */
  address: string
  values: Values
  /** The command's own arguments. */
  args: string[]
  out: Output
  /** Aborted by Ctrl-C. */
  signal: AbortSignal
}

export interface Command {
  summary: string
  /** The arguments in the help; empty if there are none. */
  args: string
  /** How many arguments it takes. */
  arity: readonly [min: number, max: number]
  options: Record<string, Option>
  /** The rest of the help. */
  details?: string
  /** Runs without a URL, on memory. */
  needsNoUrl?: boolean
  run(context: Context): Promise<number>
}

/** Documented in docs/cli.md. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unreachable: 4,
  interrupted: 130,
} as const

/** The command line is wrong: reported with a hint at the help, and {@link EXIT.usage}. */
export class UsageError extends Error {}

/** A text option. */
export function text(values: Values, name: string): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

/** A duration; the engine checks it. */
export function span(values: Values, name: string): Duration | undefined {
  return text(values, name) as Duration | undefined
}

/** An option that may be given more than once. */
export function texts(values: Values, name: string): string[] | undefined {
  const value = values[name]
  return Array.isArray(value) ? value.map(String) : undefined
}

/** A whole number from 1 on. */
export function count(values: Values, name: string): number | undefined {
  const value = text(values, name)
  if (value === undefined) return undefined
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new UsageError(`--${name} takes a whole number from 1 on`)
  return Number(value)
}
