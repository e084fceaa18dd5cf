// `activeStream`: an application that remembers by itself which stream holds a chat's answer, with no more than get and set.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { chatRoutes } from 'tidemark/next'
import { gate } from '../support/gate.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const CHUNKS = [{ type: 'start', messageId: 'm' }, { type: 'finish' }]

/** A column of a database that takes its time. */
class Column {
  /** @type {Map<string, string | null>} */
  values = new Map()
  /** What was set, in order. @type {(string | null)[]} */
  history = []
  /** @type {() => Promise<unknown>} */
  pace = () => turn()

  get = async (/** @type {string} */ chatId) => {
    await this.pace()
    return this.values.get(chatId) ?? null
  }

  set = async (/** @type {string} */ chatId, /** @type {string | null} */ streamId) => {
    await this.pace()
    this.values.set(chatId, streamId)
    this.history.push(streamId)
  }
}

/** @param {string} [message] the id of the message that is answered */
const post = (message = 'question') =>
  new Request('http://localhost/', {
    method: 'POST',
    body: JSON.stringify({ messages: [{ id: message, role: 'user' }] }),
  })
const get = () => new Request('http://localhost/')
const statuses = (/** @type {Response[]} */ responses) => responses.map(({ status }) => status).sort()

eachStore('next activeStream', (store) => {
  const open = useEngines(store)

  /** Servers of one application. @param {Column} column @param {any} [options] */
  function application(column, options = {}) {
    const generated = { count: 0 }
    const held = gate()
    async function* generate() {
      generated.count++
      yield CHUNKS[0]
      await held.opened
      yield CHUNKS[1]
    }
    const serve = () =>
      chatRoutes({ engine: open(), authorize: () => 'ann', generate, activeStream: column, ...options })
    return { serve, generated, goOn: held.open }
  }

  for (const [name, messages] of Object.entries({
    'the same message': ['one', 'one', 'one', 'one'],
    'messages of several tabs': ['one', 'two', 'three', 'four'],
  })) {
    test(`G4 POSTs at once, with ${name}, on two servers, are one answer`, async () => {
      const [id, column] = [randomUUID(), new Column()]
      const { serve, generated, goOn } = application(column)
      const [here, there] = [serve(), serve()]
      const at = { params: { id } }
      const responses = await Promise.all(
        messages.map((message, index) => (index % 2 ? here : there).POST(post(message), at)),
      )
      assert.deepEqual(statuses(responses), [200, 409, 409, 409])
      for (const response of responses.filter(({ status }) => status === 409)) {
        assert.equal((await response.json()).code, 'ERR_ACTIVE')
      }
      assert.equal(generated.count, 1)
      assert.match(column.values.get(id) ?? '', UUID)
      // It is found, and it is stopped.
      const resumed = await there.GET(get(), at)
      assert.equal(resumed.status, 200)
      assert.deepEqual(await (await here.DELETE(get(), at)).json(), { result: 'stopping' })
      for (const response of [resumed, ...responses]) if (response.status === 200) await response.text()
      goOn()
      await until(() => column.values.get(id) === null)
      assert.equal((await here.GET(get(), at)).status, 204)
      assert.deepEqual(await (await here.DELETE(get(), at)).json(), { result: 'ended' })
    })
  }

  test('a message is answered again once its answer has ended, and chats do not get in each other’s way', async () => {
    const column = new Column()
    const { serve, generated, goOn } = application(column)
    const [here, there] = [serve(), serve()]
    goOn()
    const ids = [randomUUID(), randomUUID()]
    for (let round = 0; round < 3; round++) {
      for (const server of [here, there]) {
        const responses = await Promise.all(ids.map((id) => server.POST(post('again'), { params: { id } })))
        assert.deepEqual(statuses(responses), [200, 200])
        for (const response of responses) assert.match(await response.text(), /"finish"/)
      }
    }
    assert.equal(generated.count, 12)
    await until(() => ids.every((id) => column.values.get(id) === null))
    assert.equal(new Set(column.history).size, 3)
  })

  test('an answer forgets itself alone', async () => {
    const [id, column] = [randomUUID(), new Column()]
    const at = { params: { id } }
    /** @type {Promise<unknown>[]} */
    const kept = []
    const { serve, goOn } = application(column, { waitUntil: (/** @type {any} */ done) => kept.push(done) })
    const response = await serve().POST(post(), at)
    column.values.set(id, 'of somebody else')
    goOn()
    await response.text()
    await kept[0]
    assert.equal(column.values.get(id), 'of somebody else')
  })

  test('an answer that is under way elsewhere counts, whatever its stream is called', async () => {
    const [id, column] = [randomUUID(), new Column()]
    const at = { params: { id } }
    const { serve, generated, goOn } = application(column)
    const producer = await open().produce(`older ${id}`, { owner: 'ann' })
    column.values.set(id, `older ${id}`)
    assert.equal((await serve().POST(post(), at)).status, 409)
    assert.equal(column.values.get(id), `older ${id}`)
    await producer.complete()
    goOn()
    const response = await serve().POST(post(), at)
    assert.equal(response.status, 200)
    assert.match(column.values.get(id) ?? '', UUID)
    await response.text()
    assert.equal(generated.count, 1)
  })

  test('an answer that cannot be remembered is sent all the same', async () => {
    const failure = new Error('no database')
    const column = new Column()
    column.set = () => Promise.reject(failure)
    /** @type {unknown[]} */
    const told = []
    const { serve, goOn } = application(column, {
      onError: (/** @type {unknown} */ error) => told.push(error),
    })
    const response = await serve().POST(post(), { params: { id: randomUUID() } })
    goOn()
    assert.match(await response.text(), /"finish"/)
    await until(() => told.length > 0)
    assert.deepEqual(new Set(told), new Set([failure]))
  })

  test('answer after answer, the column names the one that is under way', async () => {
    const random = createRandom(13)
    const [id, column] = [randomUUID(), new Column()]
    const at = { params: { id } }
    column.pace = async () => {
      for (let turns = random.int(0, 6); turns > 0; turns--) await turn()
    }
    // Whoever reads slower than two further answers are made has lost its own.
    const { serve, goOn } = application(column, { onError: () => 'gone' })
    goOn()
    const servers = [serve(), serve(), serve()]
    const slow = application(column)
    const last = slow.serve()
    for (let round = 0; round < 40; round++) {
      const responses = await Promise.all(servers.map((server) => server.POST(post(), at)))
      assert.ok(responses.every(({ status }) => status === 200 || status === 409))
      assert.ok(responses.some(({ status }) => status === 200))
      await Promise.all(responses.map((response) => response.text()))
    }
    /** @type {Response} */
    let response
    do response = await last.POST(post(), at)
    while (response.status === 409)
    // The ends of the answers before it are over by then, whatever they have forgotten.
    for (let looks = 0; looks < 20; looks++) await open().status(id)
    await until(() => column.values.get(id))
    assert.equal((await last.GET(get(), at)).status, 200)
    slow.goOn()
    await response.text()
    await until(() => column.values.get(id) === null)
  })
})
