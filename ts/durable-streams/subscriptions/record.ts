// A subscription as the text of a reminder.

import type { Config, Link, Subscription } from './state'

const VERSION = 1
const GLOB = 1
const EXPLICIT = 2

type Row = [path: string, kinds: number, acked: string, tail?: string]

/** The keys of subscriptions begin with this. */
const KEY = 'subscription '

export function keyOf(id: string): string {
  return KEY + id
}

/** The subscription of a key; undefined if it is something else's. */
export function idOf(key: string): string | undefined {
  return key.startsWith(KEY) ? key.slice(KEY.length) : undefined
}

export function written({ links, ...rest }: Subscription): string {
  const rows = links.map(({ path, isGlob, isExplicit, acked, tail }): Row => {
    const kinds = (isGlob ? GLOB : 0) | (isExplicit ? EXPLICIT : 0)
    return tail === undefined ? [path, kinds, acked] : [path, kinds, acked, tail]
  })
  return JSON.stringify({ version: VERSION, ...rest, links: rows })
}

/** What was written; throws for what a later version has written in another form. */
export function read(value: string): Subscription {
  const { version, links, ...rest } = JSON.parse(value) as Omit<Subscription, 'links'> & {
    version: number
    links: Row[]
  }
  if (version !== VERSION) throw new Error(`a subscription in form ${version}, and this knows ${VERSION}`)
  return {
    ...rest,
    links: links.map(([path, kinds, acked, tail]): Link => {
      const link = { path, isGlob: (kinds & GLOB) !== 0, isExplicit: (kinds & EXPLICIT) !== 0, acked }
      return tail === undefined ? link : { ...link, tail }
    }),
  }
}

/** Whether two were asked for in the same way. The order of streams does not count. */
export function isSame(one: Config, other: Config): boolean {
  const canonical = (config: Config) =>
    JSON.stringify([
      config.type,
      config.pattern,
      [...new Set(config.streams)].sort(),
      config.url,
      config.wakeStream,
      config.leaseMs,
      config.description,
    ])
  return canonical(one) === canonical(other)
}
