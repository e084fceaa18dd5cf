import type * as api from '../../index'
import type { Bridge } from '../native/bridge'
import type { AckArgs, AcknowledgeArgs } from '../options/args'
import { ackArgs } from '../options/read'
import { ignore } from '../util/deferred'
import { jsonOf, type Received } from './body'
import { refusal } from './refusal'

/** A cursor and a consumer are far shorter. */
const MAX_BODY_BYTES = 4096

/** `Engine.acknowledge`, its options checked. */
export async function acknowledge(
  bridge: Bridge,
  request: api.AcknowledgeRequest,
  { streamId, owner, consumer, onError }: AcknowledgeArgs,
): Promise<Response> {
  try {
    const body = await read(request)
    const given = ackArgs(streamId, consumer ?? body.consumer, body.cursor, { owner })
    // The browser sends it again, so it need not wait for a store that is known to be away.
    const args: AckArgs = { ...given, isPatient: false }
    await bridge.request('ack', args, ignore)
    return new Response(null, { status: 204 })
  } catch (error) {
    return refusal(error, onError)
  }
}

async function read(request: api.AcknowledgeRequest): Promise<{ cursor?: unknown; consumer?: unknown }> {
  const { body = request, headers, bodyUsed } = request as Partial<Received>
  if (isParsed(body)) return body
  return jsonOf({ body, headers, bodyUsed }, MAX_BODY_BYTES, 'JSON: { cursor, consumer }')
}

/** Whether a body parser was here before. */
function isParsed(body: unknown): body is object {
  return typeof body === 'object' && body !== null && !(Symbol.asyncIterator in body)
}
