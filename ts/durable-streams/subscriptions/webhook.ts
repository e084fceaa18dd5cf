// Tells a worker of a wake by a request.

import { lookup as resolve } from 'node:dns'
import * as http from 'node:http'
import * as https from 'node:https'
import type { LookupFunction } from 'node:net'
import { clearTimeout, setTimeout } from '../../util/timers'
import { isLocalTarget, isLoopback, isPublic, refusedUrl } from './addresses'

/** How long a request may take, … */
const PATIENCE_MS = 10_000
/** … and how much of the answer is read. */
const MOST_BYTES = 64 * 1024

/** What the worker's server has answered. */
export interface Told {
  isOk: boolean
  isDone: boolean
  /** The generation of the stream that a pull-wake was written to. */
  log?: string | undefined
}

/** Sends a webhook; every failure is an answer. Redirects are not followed. */
export async function deliver(
  text: string,
  body: string,
  signature: string,
  allowLocalhost: boolean,
): Promise<Told> {
  if (refusedUrl(text, allowLocalhost) !== undefined) return { isOk: false, isDone: false }
  const url = new URL(text)
  const { request } = url.protocol === 'http:' ? http : https
  return new Promise((answer) => {
    const fail = () => answer({ isOk: false, isDone: false })
    const asked = request(url, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
        'Webhook-Signature': signature,
        'User-Agent': 'tidemark',
      },
      // A connection of its own: the address is checked each time.
      agent: false,
      lookup: checked(isLocalTarget(url) ? isLoopback : isPublic),
    })
    const timer = setTimeout(() => asked.destroy(new Error('took too long')), PATIENCE_MS)
    asked.on('close', () => clearTimeout(timer))
    asked.on('error', fail)
    asked.on('response', (response) => {
      const { statusCode = 0 } = response
      const isOk = statusCode >= 200 && statusCode < 300
      const chunks: Buffer[] = []
      let bytes = 0
      const end = (isWhole: boolean) => {
        const isDone = isOk && isWhole && saysDone(Buffer.concat(chunks))
        answer({ isOk, isDone })
        asked.destroy()
      }
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.byteLength
        if (bytes > MOST_BYTES) end(false)
        else chunks.push(chunk)
      })
      response.on('end', () => end(true))
      response.on('error', fail)
    })
    asked.end(body)
  })
}

function saysDone(body: Buffer): boolean {
  try {
    return (JSON.parse(body.toString()) as { done?: unknown } | null)?.done === true
  } catch {
    return false
  }
}

/** The system's resolver, which gives up if any address that it finds is not allowed. */
export function checked(isAllowed: (address: string) => boolean): LookupFunction {
  return (host, options, done) => {
    resolve(host, { ...options, all: true }, (error, found) => {
      const [first] = found ?? []
      if (error !== null || first === undefined) {
        done(error ?? Object.assign(new Error(`${host} has no address`), { code: 'ENOTFOUND' }), '', 4)
      } else if (!found.every(({ address }) => isAllowed(address))) {
        done(Object.assign(new Error(`${host} does not lead to a public address`), { code: 'EACCES' }), '', 4)
      } else if (options.all) done(null, found)
      else done(null, first.address, first.family)
    })
  }
}
