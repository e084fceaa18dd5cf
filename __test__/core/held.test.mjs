// What nobody holds any more is given up, and what somebody still waits for is not: garbage is collected in between.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { beforeEach, test } from 'node:test'
import * as chats from 'tidemark/message-stream'
import { chatRoutes } from 'tidemark/next'
import { tidemarkStream } from 'tidemark/tanstack'
import { started, words } from '../support/ag-ui.mjs'
import { collectAll } from '../support/garbage.mjs'
import { gate } from '../support/gate.mjs'
import { dataOf, newChat, useChats } from '../support/messages.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const owner = 'ann'

eachStore('what nobody holds', (store) => {
  const open = useEngines(store)
  useChats(store)
  /** @type {import('tidemark').Engine} */
  let engine
  /** @type {string} */
  let id

  beforeEach(() => {
    engine = open()
    id = randomUUID()
  })

  test('G7 the response to a POST that is thrown away costs nothing, and the answer goes on', async () => {
    const { opened, open: goOn } = gate()
    const routes = chatRoutes({
      engine,
      authorize: () => owner,
      async *generate() {
        yield { type: 'start' }
        await opened
        yield { type: 'finish' }
      },
    })
    // In a function of its own, so that nothing here holds it.
    const ask = async () => {
      const body = JSON.stringify({ messages: [{ id: 'u', role: 'user', parts: [] }] })
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body }
      const { status } = await routes.POST(new Request('http://localhost/', init), { params: { id } })
      assert.equal(status, 200)
    }
    for (let count = 0; count < 2; count++) {
      await ask()
      const isGivenUp = async () => {
        await collectAll()
        return engine.metrics().readers === 0
      }
      await until(isGivenUp, { message: 'its reader is given up' })
      if (count === 0) assert.equal((await engine.status(id))?.state, 'active')
      goOn()
      await until(async () => (await engine.status(id))?.state === 'complete')
    }
  })

  test('G7 a loop of message-stream that is dropped costs nothing, however long its signal lasts', async () => {
    const chatId = newChat()
    const stop = new AbortController()
    const lasting = new AbortController()
    const data = dataOf(chatId, { intervalMs: 50, maxChunks: 1_000 })
    const run = chats.startMessageChunkStream(data, { signal: stop.signal })
    await run
    const begin = async () => {
      const loop = chats.subscribeToMessageChunkStream(chatId, { signal: lasting.signal })
      await loop.next()
      return new WeakRef(loop)
    }
    const loop = await begin()
    const isGone = async () => {
      await collectAll()
      return loop.deref() === undefined
    }
    await until(isGone, { message: 'it is collected' })
    stop.abort()
    assert.equal(await run.finished, 'stopped')
  })

  test('G6 a stop aborts the signal of a producer that nobody holds', async () => {
    const signalOf = async () => (await engine.produce(id, { owner })).signal
    const signal = await signalOf()
    await collectAll()
    assert.equal(await engine.stop(id, { owner }), 'stopping')
    await until(() => signal.aborted)
  })

  /** What waits for ever. @type {Record<string, (signal: AbortSignal) => Promise<unknown>>} */
  const WAITING = {
    subscribe: (signal) => engine.subscribe(id, { owner, signal }).next(),
    result: (signal) => engine.result(id, { owner, signal }),
    consume: (signal) => engine.consume(id, { group: 'g', consumer: 'c', owner, signal }).next(),
    finished: (signal) =>
      open({ keyPrefix: store.prefix() }).finished({ group: 'g', consumer: 'c', signal }).next(),
    'read of a log': (signal) => engine.log('log').read({ from: 'now', signal }).next(),
    'message-stream': (signal) => chats.subscribeToMessageChunkStream(newChat(), { signal }).next(),
  }
  for (const [name, wait] of Object.entries(WAITING)) {
    test(`G5 ${name} ends with a signal that nobody else holds`, async () => {
      await engine.produce(id, { owner })
      await engine.log('log').append(['one'])
      const waiting = wait(AbortSignal.timeout(300))
      waiting.catch(() => {})
      await collectAll()
      await assert.rejects(deadline(waiting, 20_000, 'it ends'), { name: 'TimeoutError' })
    })
  }

  test('G5 a reader of TanStack AI ends with a signal that nobody else holds', async () => {
    const run = tidemarkStream(engine, { runId: id })
    await run.append([started(), words('one')])
    const reading = async () => {
      const seen = []
      for await (const { chunk } of run.read('-1', AbortSignal.timeout(300))) seen.push(chunk)
      return seen.length
    }
    const waiting = reading()
    await collectAll()
    assert.equal(await deadline(waiting, 20_000, 'it ends'), 2)
  })
})
