// The address of a request of `node:http`.

import type { IncomingHttpHeaders } from 'node:http'

/**
 * Undefined if it cannot be read. A target that begins with two slashes is a path as well: the host is the one in the headers.
 * @param target the request's path, or its whole address
 */
export function addressOf(headers: IncomingHttpHeaders, target = '/', protocol = 'http'): URL | undefined {
  // HTTP/2 has it under the other name.
  const host = headers.host ?? headers[':authority'] ?? 'localhost'
  // Its end would be the beginning of the path, which who stands before the server has not seen.
  if (/[/\\?#@]/.test(String(host))) return undefined
  const address = target.startsWith('/') ? `${protocol}://${host}${target}` : target
  if (!URL.canParse(address)) return undefined
  const url = new URL(address)
  // No web request has a user in its address.
  const isUsual = /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
  return isUsual ? url : undefined
}
