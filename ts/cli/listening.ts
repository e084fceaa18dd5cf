// Commands that serve over HTTP: where they listen.

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UsageError } from './command'

const MOST_PORT = 65_535

/** The value of `--port`; 0 is any free port. */
export function portOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  const port = /^\d{1,5}$/.test(given) ? Number(given) : Number.POSITIVE_INFINITY
  if (port > MOST_PORT) throw new UsageError(`--port takes a number from 0 to ${MOST_PORT}`)
  return port
}

/** Listens on the first of these ports that is free, and returns its number. */
export async function listen(server: Server, host: string, ports: readonly number[]): Promise<number> {
  for (const port of ports) {
    try {
      server.listen(port, host)
      await once(server, 'listening')
      return (server.address() as AddressInfo).port
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || port === ports.at(-1)) throw error
    }
  }
  return 0
}

export function originOf(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
