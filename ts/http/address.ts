// The address of a request of `node:http`.

import type { IncomingHttpHeaders } from 'node:http'

/** What is another path when it is read as a URL: whoever stands before the server may have let the one pass and not the other. */
const AMBIGUOUS = /^[^?]*(?:[\\#]|\/(?:\.|%2e){1,2}(?:[/?]|$))/i

/**
 * Undefined if it cannot be read. A target that begins with two slashes is a path as well: the host is the one in the headers.
 * @param target the request's path, or its whole address
 */
export function addressOf(headers: IncomingHttpHeaders, target = '/', protocol = 'http'): URL | undefined {
  // HTTP/2 has it under the other name.
  const host = headers.host ?? headers[':authority'] ?? 'localhost'
  // Its end would be the beginning of the path, which who stands before the server has not seen; and no web request has a user.
  if (/[/\\?#@]/.test(String(host))) return undefined
  if (AMBIGUOUS.test(target)) return undefined
  if (target.startsWith('/')) return parsed(`${protocol}://${host}${target}`)
  const url = parsed(target)
  const isUsual = url !== undefined && /^https?:$/.test(url.protocol) && url.username + url.password === ''
  return isUsual ? url : undefined
}

function parsed(address: string): URL | undefined {
  try {
    return new URL(address)
  } catch {
    return undefined
  }
}
