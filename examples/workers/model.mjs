// A model that speaks OpenAI's protocol of background responses, and says the same to everybody.

import { createServer } from 'node:http'

/**
 * @param {readonly string[]} words
 * @param {{ paceMs?: number, port?: number }} [options]
 */
export async function startModel(words, { paceMs = 20, port = 0 } = {}) {
  const model = {
    /** How often it was asked for a new response, and after which numbers it was asked for the rest of one. */
    created: 0,
    /** @type {number[]} */
    resumed: [],
    cancelled: 0,
    /** Between one word and the next, counted from the beginning. */
    paceMs,
    url: '',
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  /** When each response began: it continues, whoever listens. @type {Map<string, number>} */
  const begun = new Map()

  /** @param {string} id @param {number} number */
  const eventOf = (id, number) => {
    const response = { id, object: 'response', status: 'in_progress', output: [] }
    if (number === 0) return { type: 'response.created', sequence_number: 0, response }
    if (number > words.length) {
      return {
        type: 'response.completed',
        sequence_number: number,
        response: { ...response, status: 'completed' },
      }
    }
    const delta = words[number - 1]
    const place = { item_id: 'm', output_index: 0, content_index: 0, logprobs: [] }
    return { type: 'response.output_text.delta', sequence_number: number, delta, ...place }
  }

  const server = createServer(async (request, response) => {
    for await (const _ of request);
    const url = new URL(request.url ?? '/', 'http://localhost')
    const [, , , known, verb] = url.pathname.split('/')
    if (verb === 'cancel') {
      model.cancelled += 1
      response.writeHead(200, { 'content-type': 'application/json' })
      return response.end(JSON.stringify({ id: known, object: 'response', status: 'cancelled', output: [] }))
    }
    const after = Number(url.searchParams.get('starting_after') ?? -1)
    const id = known ?? `resp_${++model.created}`
    if (known === undefined) begun.set(id, Date.now())
    else model.resumed.push(after)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let number = after + 1; number <= words.length + 1; number++) {
      const due = (begun.get(id) ?? 0) + number * model.paceMs
      if (due > Date.now()) await new Promise((resolve) => setTimeout(resolve, due - Date.now()))
      if (response.destroyed) return
      const event = eventOf(id, number)
      response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    }
    response.end()
  })
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)))
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  model.url = `http://127.0.0.1:${address.port}/v1`
  return model
}
