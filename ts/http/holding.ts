/** The requests of responses that are being sent. */
const requests = new WeakMap<ReadableStream, readonly object[]>()

/**
 * Keeps a request for as long as its response is sent. Node tells its `signal` that the client has left only while somebody holds
 * the request; without it, listeners wait for ever (nodejs/node#55428). A handler may answer with the response of another one, to
 * which it has given a request of its own: all are kept.
 */
export function holding(request: object, response: Response): Response {
  const { body } = response
  const held = (body && requests.get(body)) ?? []
  if (body !== null && !held.includes(request)) requests.set(body, [...held, request])
  return response
}
