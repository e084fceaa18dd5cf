/** The requests of responses that are being sent. */
const requests = new WeakMap<ReadableStream, object>()

/**
 * Keeps a request for as long as its response is sent. Node tells its `signal` that the client has left only while somebody holds
 * the request; without it, listeners wait for ever (nodejs/node#55428).
 */
export function holding(request: object, response: Response): Response {
  if (response.body !== null) requests.set(response.body, request)
  return response
}
