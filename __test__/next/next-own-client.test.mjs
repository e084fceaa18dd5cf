// The client that has asked for an answer gets it with the same cursors as everybody else, at its own pace.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { chatRoutes } from 'tidemark/next'
import { userMessage } from '../support/ai.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const owner = 'ann'
/** @param {string} delta */
const word = (delta) => ({ type: 'text-delta', id: 't', delta })

/** An answer that is made by hand. */
function byHand() {
  /** @type {ReadableStreamDefaultController<object>} */
  let controller
  const stream = new ReadableStream({
    start(given) {
      controller = given
    },
  })
  return {
    stream,
    say: (/** @type {object} */ chunk) => controller.enqueue(chunk),
    end: () => controller.close(),
  }
}

/** The response to a question. @param {import('tidemark').Engine} engine @param {string} id @param {ReadableStream<object>} answer */
const ask = (engine, id, answer) =>
  chatRoutes({ engine, authorize: () => owner, generate: () => answer }).POST(
    new Request('http://localhost/', {
      method: 'POST',
      body: JSON.stringify({ id, messages: [userMessage('hello')] }),
    }),
  )

/** The events that have ids, as `id data`. @param {string} text */
const stored = (text) =>
  text
    .split('\n\n')
    .map((event) => /^id: (.+)\ndata: (.+)$/.exec(event)?.slice(1).join(' '))
    .filter((event) => event !== undefined)

/** What everybody else reads, in the same form. @param {import('tidemark').Engine} engine @param {string} id */
async function logged(engine, id) {
  const events = []
  for await (const chunk of engine.subscribe(id, { owner })) events.push(`${chunk.cursor} ${chunk.text()}`)
  return events
}

eachStore('next-own-client', (store) => {
  const open = useEngines(store)

  test('G1 its events have the cursors of the log, in each generation', async () => {
    const [here, there, id] = [open(), open(), randomUUID()]
    for (const round of [1, 2, 3]) {
      const { stream, say, end } = byHand()
      const response = await ask(here, id, stream)
      say({ type: 'start', messageId: `m${round}` })
      for (let index = 0; index < 20 * round; index++) say(word(`é${index}\n`))
      say({ type: 'finish' })
      end()
      const text = await response.text()
      assert.ok(text.endsWith('data: [DONE]\n\n'))
      const events = stored(text)
      assert.equal(events.length, 20 * round + 2)
      assert.deepEqual(events, await logged(there, id))
    }
  })

  test('G7 G1 a client that does not read for a while gets the rest from the log, each chunk once and in order', async () => {
    const [here, there, id] = [open(), open(), randomUUID()]
    const { stream, say, end } = byHand()
    const response = await ask(here, id, stream)
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader()
    const decoder = new TextDecoder()
    let text = ''
    const read = async () => {
      const { done, value } = await reader.read()
      text += decoder.decode(value, { stream: true })
      return !done
    }
    say({ type: 'start', messageId: 'm' })
    await read()
    // Far more than waits for any reader.
    for (let index = 0; index < 1000; index++) say(word(`${index} ${'x'.repeat(500)}`))
    await until(async () => Number((await there.status(id))?.lastSeq) >= 1001, { timeout: 20_000 })
    for (let index = 0; index < 10; index++) await read()
    say(word('more'))
    say({ type: 'finish' })
    end()
    while (await read());
    assert.ok(text.endsWith('data: [DONE]\n\n'))
    assert.deepEqual(stored(text), await logged(there, id))
    assert.equal(stored(text).length, 1003)
  })

  test('an answer that was taken over tells its client so after what was made', async () => {
    const [here, there, id] = [open(), open(), randomUUID()]
    const [first, second] = [byHand(), byHand()]
    const response = await ask(here, id, first.stream)
    first.say({ type: 'start', messageId: 'm' })
    first.say(word('one'))
    await until(async () => Number((await there.status(id))?.lastSeq) >= 2, { timeout: 20_000 })
    const taking = chatRoutes({
      engine: there,
      authorize: () => owner,
      generate: () => second.stream,
      ifActive: 'takeover',
    })
    const body = JSON.stringify({ id, messages: [userMessage('again')] })
    const other = await taking.POST(new Request('http://localhost/', { method: 'POST', body }))
    const text = await response.text()
    assert.match(text, /"one".*interrupted: superseded.*\[DONE\]/s)
    second.end()
    await other.text()
  })
})
