import type * as api from '../index'
import type { Bridge } from './bridge'
import { refuse } from './checks'
import { ignore } from './deferred'
import { invalidArgument } from './errors'
import type { AckArgs } from './native'
import { ackArgs } from './options'
import { refusal } from './respond'

/** A cursor and a consumer are far shorter. */
const MAX_BODY_BYTES = 4096

export interface AcknowledgeArgs {
  streamId: string
  owner: string | undefined
  consumer: string | undefined
}

/** `Engine.acknowledge`, its options checked. */
export async function acknowledge(
  bridge: Bridge,
  request: api.AcknowledgeRequest,
  { streamId, owner, consumer }: AcknowledgeArgs,
): Promise<Response> {
  try {
    const body = await read(request)
    const args: AckArgs = ackArgs(streamId, consumer ?? body.consumer, body.cursor, { owner })
    await bridge.request('ack', args, ignore)
    return new Response(null, { status: 204 })
  } catch (error) {
    return refusal(error)
  }
}

async function read(request: api.AcknowledgeRequest): Promise<{ cursor?: unknown; consumer?: unknown }> {
  const body = 'body' in request ? request.body : request
  if (isParsed(body)) return body
  let text = ''
  const decoder = new TextDecoder()
  for await (const bytes of (body ?? []) as AsyncIterable<Uint8Array>) {
    text += decoder.decode(bytes, { stream: true })
    if (text.length > MAX_BODY_BYTES) throw invalidArgument('body', `must be at most ${MAX_BODY_BYTES} bytes`)
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // Refused below.
  }
  return refuse('body', 'JSON: { cursor, consumer }', text)
}

/** Whether a body parser was here before. */
function isParsed(body: unknown): body is object {
  return typeof body === 'object' && body !== null && !(Symbol.asyncIterator in body)
}
