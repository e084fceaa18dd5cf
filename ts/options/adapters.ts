// What the adapters to other people's interfaces are given.

import type { Engine as PublicEngine } from '../../index'
import { invalidArgument } from '../errors/errors'
import { type Check, methods, text } from './checks'

const anEngine = methods('an engine', 'log')

/** An engine of this package. */
export function engine(value: unknown, field: string): PublicEngine {
  return anEngine(value, field) as PublicEngine
}

/** What the ids of an adapter's streams begin with. */
export const prefix: Check<string> = text(0, 64)

/** The longest name that an adapter is given, with a prefix still a stream's id. */
const MAX_ID_BYTES = 448
const id: Check<string> = text(1, MAX_ID_BYTES)

/**
 * Somebody else's id, which often comes from a client: neither control characters, which could end a header or a line of a log, nor
 * `..` as a step of a path.
 */
export function foreignId(value: unknown, field: string): string {
  const given = id(value, field)
  const isBad = /[\p{Cc}\u2028\u2029]/u.test(given) || /(^|[/\\])\.\.?([/\\]|$)/.test(given)
  if (!isBad) return given
  throw invalidArgument(field, 'must have neither control characters nor . or .. as a step of a path')
}
