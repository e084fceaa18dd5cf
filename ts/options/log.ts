import { channel } from 'node:diagnostics_channel'
import type { LogEntry, LogLevel, LogOptions } from '../../index'
import { warnOnce } from '../errors/warnings'
import { oneOf } from './checks'

export const LOG_LEVELS = ['off', 'error', 'warn', 'info', 'debug', 'trace'] as const

const published = channel('tidemark:log')

type Write = (entry: LogEntry) => void

/** Where the entries of an engine go, and which ones are wanted. */
export class Log {
  readonly level: LogLevel
  readonly #write: Write | undefined

  constructor(options: LogOptions | undefined, environment: Readonly<Record<string, string | undefined>>) {
    const wanted = environment.TIDEMARK_LOG
    const fromEnvironment = wanted ? oneOf(...LOG_LEVELS)(wanted, 'TIDEMARK_LOG') : undefined
    const { level, write } = options ?? {}
    const isAsked = options !== undefined || fromEnvironment !== undefined
    const silent = published.hasSubscribers ? 'info' : 'off'
    this.level = level ?? fromEnvironment ?? (isAsked ? 'info' : silent)
    this.#write = write ?? (isAsked ? toStderr : undefined)
  }

  /** An entry as the native side has written it. */
  take(line: string): void {
    const { id, ...entry } = JSON.parse(line) as LogEntry & { id: number }
    // Each engine of the process reports the same entry.
    if (published.hasSubscribers && isNew(published, id)) published.publish(entry)
    if (this.#write === undefined || !isNew(this.#write, id)) return
    try {
      this.#write(entry)
    } catch (error) {
      warnOnce('TIDEMARK_LOG', `log.write has thrown: ${error}`)
    }
  }
}

/** The number of entries that are remembered: more than engines can differ by. */
const REMEMBERED = 4096
const seen = new WeakMap<object, Set<number>>()

function isNew(target: object, id: number): boolean {
  const ids = seen.get(target) ?? new Set()
  seen.set(target, ids)
  if (ids.has(id)) return false
  ids.add(id)
  if (ids.size > REMEMBERED) {
    const [oldest] = ids
    ids.delete(oldest as number)
  }
  return true
}

function toStderr({ time, level, message, ...rest }: LogEntry): void {
  const words = Object.entries(rest).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
  process.stderr.write(`${[new Date(time).toISOString(), 'tidemark', level, message, ...words].join(' ')}\n`)
}
