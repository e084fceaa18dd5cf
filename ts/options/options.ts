// The configuration of an engine: the options of `createEngine`, and the environment.

import { hostname } from 'node:os'
import { invalidArgument } from '../errors/errors'
import { callback, duration, integer, listOf, object, oneOf, refuse, text } from './checks'
import type { Provider } from './credentials'
import { flushIntervalMs, ttl } from './fields'
import { LOG_LEVELS, Log } from './log'
import { checkTls, type Tls, tlsConfig } from './tls'
import { addressOf, url as checkUrl, hasServer } from './url'

const MIB = 1 << 20
const MAX_TTL_SECONDS = 365 * 86_400
const DEFAULT_TTL_MS = 3_600_000
const DEFAULT_LEVEL = 6

/** `src/config.rs`. */
export interface Config {
  url: string
  tls: Tls | null
  /** Crosses as a number. */
  credentials: Provider | null
  /** What the process calls itself. */
  process: string
  keyPrefix: string
  ttlActiveMs: number
  ttlDoneMs: number
  leaseMs: number
  stopGraceMs: number
  connectTimeoutMs: number
  commandTimeoutMs: number
  flushIntervalMs: number
  writeIntervalMs: number
  deliveryIntervalMs: number
  ackIntervalMs: number
  maxQueueBytes: number
  compression: number
  /** Only its level crosses. */
  log: Log
}

type Environment = Readonly<Record<string, string | undefined>>

const engineOptions = object({
  url: checkUrl,
  name: text(1, 200),
  tls: checkTls,
  credentials,
  keyPrefix,
  ttl,
  lease: duration('1s', '10m'),
  stopGrace: duration('0ms', '1m'),
  connectTimeout: duration('10ms', '10m'),
  commandTimeout: duration('10ms', '10m'),
  flushIntervalMs,
  writeIntervalMs: integer(0, 1000, 'milliseconds'),
  deliveryIntervalMs: integer(0, 1000, 'milliseconds'),
  ackIntervalMs: integer(0, 10_000, 'milliseconds'),
  maxQueueBytes: integer(MIB, 1024 * MIB, 'bytes'),
  compression,
  log: object({ level: oneOf(...LOG_LEVELS), write: callback }),
  closeOnSignals: listOf(oneOf('SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2')),
})

/** The signals that the process closes the engine on; the rest of the options is {@link engineConfig}'s. */
export function closingSignals(given: unknown): NodeJS.Signals[] {
  return engineOptions(given, 'options').closeOnSignals ?? []
}

/** The name of an engine that replaces the one before. */
export function engineName(given: unknown): string | undefined {
  return engineOptions(given, 'options').name
}

export function engineConfig(given: unknown, environment: Environment): Config {
  const options = engineOptions(given, 'options')
  const url = options.url ?? urlFrom(environment) ?? 'memory:'
  const isSecure = url.startsWith('rediss')
  const [forTls] = Object.keys(options.tls ?? {})
  if (forTls !== undefined && !isSecure) {
    throw invalidArgument(`options.tls.${forTls}`, 'is for a URL that begins with rediss')
  }
  if (options.credentials !== undefined && !hasServer(url)) {
    throw invalidArgument('options.credentials', 'are for a URL of Redis')
  }
  return {
    url,
    tls: isSecure ? tlsConfig(options.tls ?? {}, 'options.tls', addressOf(url)) : null,
    credentials: options.credentials ?? null,
    process: `${hostname().slice(0, 64)}:${process.pid}`,
    keyPrefix: options.keyPrefix ?? 'tidemark',
    ttlActiveMs: options.ttl?.active ?? ttlFrom(environment, 'TIDEMARK_TTL_ACTIVE_SECONDS'),
    ttlDoneMs: options.ttl?.done ?? ttlFrom(environment, 'TIDEMARK_TTL_DONE_SECONDS'),
    leaseMs: options.lease ?? 10_000,
    stopGraceMs: options.stopGrace ?? 1000,
    connectTimeoutMs: options.connectTimeout ?? 5000,
    commandTimeoutMs: options.commandTimeout ?? 3000,
    flushIntervalMs: options.flushIntervalMs ?? 0,
    writeIntervalMs: options.writeIntervalMs ?? 2,
    deliveryIntervalMs: options.deliveryIntervalMs ?? 1,
    ackIntervalMs: options.ackIntervalMs ?? 250,
    maxQueueBytes: options.maxQueueBytes ?? 8 * MIB,
    compression: options.compression ?? DEFAULT_LEVEL,
    log: new Log(options.log, environment),
  }
}

/** The environment's URL, if it has one. */
export function urlFrom(environment: Environment): string | undefined {
  for (const name of ['TIDEMARK_URL', 'REDIS_URL', 'KV_URL']) {
    // An empty variable is how container files say "not set".
    const value = environment[name]
    if (value) return checkUrl(value, name)
  }
  return undefined
}

function ttlFrom(environment: Environment, name: string): number {
  const value = environment[name]
  if (!value) return DEFAULT_TTL_MS
  const seconds = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
  if (seconds >= 1 && seconds <= MAX_TTL_SECONDS) return seconds * 1000
  return refuse(name, `a whole number of seconds from 1 to ${MAX_TTL_SECONDS}`, value)
}

function keyPrefix(value: unknown, field: string): string {
  if (typeof value === 'string' && /^[^\s{}\p{Cc}\p{Cs}]{1,64}$/u.test(value)) return value
  return refuse(field, '1 to 64 characters without braces, control characters or white space', value)
}

function credentials(value: unknown, field: string): Provider {
  return typeof value === 'function' ? (value as Provider) : refuse(field, 'a function', value)
}

/** The level of gzip; 0 is off. */
function compression(value: unknown, field: string): number {
  if (typeof value === 'boolean') return value ? DEFAULT_LEVEL : 0
  if (Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 9) return Number(value)
  return refuse(field, 'true, false or a level from 1 to 9', value)
}
