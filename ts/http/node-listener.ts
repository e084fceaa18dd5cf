// The handler for servers of node:http.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Answerer, answererOf } from './asked'
import { NodeAsked } from './node-asked'
import { writeAnswer } from './node-response'

const BAD_ADDRESS = JSON.stringify({
  code: 'bad_address',
  message: 'the address of the request is not well-formed',
})

/** A listener for `http.createServer`, Express or Connect. */
export function toNodeListener(
  handler: (request: Request) => Promise<Response>,
): (request: IncomingMessage, response: ServerResponse) => void {
  const answerer = answererOf(handler)
  return (incoming, response) => {
    serve(answerer, incoming, response).catch(() => response.destroy())
  }
}

async function serve(answerer: Answerer, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  // HTTP/2 has a stream for each request, and no such header.
  const closeAfter = () => incoming.httpVersionMajor === 1 && response.setHeader('connection', 'close')
  const asked = NodeAsked.of(incoming, response)
  if (asked === undefined) {
    closeAfter()
    const head = { 'content-type': 'application/json', 'x-content-type-options': 'nosniff' }
    response.writeHead(400, head).end(BAD_ADDRESS)
    return
  }
  const answer = await answerer(asked)
  // A body that was not read to its end would be taken for the next request.
  if (!incoming.complete) closeAfter()
  await writeAnswer(response, answer, asked)
}
