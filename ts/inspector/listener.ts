import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'

/** A handler of web requests for `node:http` and Express, where it keeps the path that the browser has asked for. */
export function toListener(handler: (request: Request) => Promise<Response>): RequestListener {
  return (incoming, outgoing) => {
    const left = new AbortController()
    outgoing.on('close', () => left.abort())
    handler(webRequest(incoming, left.signal))
      .then((response) => write(response, outgoing, left.signal))
      .catch(() => outgoing.destroy())
  }
}

function webRequest(incoming: IncomingMessage, signal: AbortSignal): Request {
  const headers = new Headers()
  for (const [name, value] of Object.entries(incoming.headers)) {
    for (const each of [value ?? []].flat()) headers.append(name, each)
  }
  // Express takes away what it has matched.
  const { originalUrl } = incoming as { originalUrl?: string }
  // Not resolved against a server's name: a path may begin with two slashes.
  const url = new URL('http://localhost')
  const [path = '/', query = ''] = (originalUrl ?? incoming.url ?? '/').split(/\?(.*)/s)
  url.pathname = path
  url.search = query
  const { method = 'GET' } = incoming
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const body = hasBody ? ReadableStream.from(incoming as AsyncIterable<Uint8Array>) : null
  return new Request(url, {
    method,
    headers,
    signal,
    ...(body ? { body: body as never, duplex: 'half' } : {}),
  })
}

async function write(response: Response, outgoing: ServerResponse, left: AbortSignal): Promise<void> {
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  outgoing.flushHeaders()
  for await (const piece of response.body ?? []) {
    if (left.aborted) return
    if (!outgoing.write(piece)) await room(outgoing, left)
  }
  outgoing.end()
}

function room(outgoing: ServerResponse, left: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    outgoing.once('drain', resolve)
    if (left.aborted) resolve()
    else left.addEventListener('abort', () => resolve(), { once: true })
  })
}
