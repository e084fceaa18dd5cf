import type * as api from '../../index'
import { invalidArgument, origin } from '../errors/errors'
import type { Bridge } from '../native/bridge'
import { refuse } from '../options/checks'
import type { RespondArgs } from '../options/read'
import { flushHead, writeBody, writeHead, writeStream } from './node-response'
import { begin } from './respond'

/** `Engine.send`, its options checked. */
export async function send(
  bridge: Bridge,
  request: api.StreamRequest,
  response: api.ServerResponse,
  args: RespondArgs,
): Promise<void> {
  checkResponse(response)
  const left = new AbortController()
  const leave = (): void => left.abort()
  // A response closes when its client has left, and when it has ended.
  response.on('close', leave)
  response.on('error', leave)
  request?.signal?.addEventListener('abort', leave)
  if (request?.signal?.aborted || response.destroyed) leave()
  try {
    const { headers, url } = request ?? {}
    const asked = { headers, url, signal: left.signal } as api.StreamRequest
    const answer = await begin(bridge, asked, args, origin(send))
    if (left.signal.aborted) return
    writeHead(response, answer instanceof Response ? answer : { status: 200, headers: answer.headers })
    flushHead(response)
    const isHead = (request as { method?: unknown }).method === 'HEAD'
    if (isHead) {
      leave()
      response.end()
    } else if (answer instanceof Response) await writeBody(response, answer.body, left.signal)
    else await writeStream(response, answer.stream, left.signal)
  } finally {
    request?.signal?.removeEventListener('abort', leave)
    response.off('close', leave)
  }
}

function checkResponse(response: Partial<api.ServerResponse> | null | undefined): void {
  const isOne = ['write', 'end', 'setHeader', 'on', 'off'].every(
    (name) => typeof (response as Record<string, unknown> | null | undefined)?.[name] === 'function',
  )
  if (!isOne)
    refuse('response', "the response of node:http, or of node:http2 (Fastify's reply.raw)", response)
  if (response?.headersSent) throw invalidArgument('response', 'must not have begun')
}
