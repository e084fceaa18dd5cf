// `onFinish` of the chat routes: once for each answer, whoever produced it and however it ended.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chatRoutes } from 'tidemark/next'
import { startChild } from '../support/child.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/** @typedef {import('tidemark/next').FinishedAnswer} FinishedAnswer */
/** @typedef {{ answer: FinishedAnswer, chunks: any[] }} Told */

const WORDS = ['one', 'two', 'three']
const START = { type: 'start', messageId: 'm' }
const chunksOf = (/** @type {string[]} */ words) => [
  START,
  ...words.map((data) => ({ type: 'data-word', data })),
]
const at = (/** @type {string} */ id) => ({ params: { id } })
const request = () => new Request('http://localhost/', { method: 'POST', body: '{}' })

/**
 * What a hook was told, with the chunks that it has read.
 * @param {Told[]} told
 * @returns {import('tidemark/next').OnFinish}
 */
const listen = (told) => async (answer) => {
  const chunks = []
  for await (const chunk of answer.chunks()) chunks.push(chunk)
  told.push({ answer, chunks })
}

/** @param {Told[]} told */
const summary = (told) =>
  told.map(({ answer, chunks }) => [answer.chatId, answer.outcome, chunks.length]).sort()

eachStore('next-finish', (store) => {
  const open = useEngines(store)

  /** A server of its own. @param {import('tidemark/next').OnFinish} onFinish @param {any} [options] */
  const serve = (onFinish, { engine = open(), ...options } = {}) => {
    const generate = () => ReadableStream.from(chunksOf(WORDS))
    return { engine, ...chatRoutes({ engine, authorize: () => 'ann', generate, onFinish, ...options }) }
  }

  test('every answer is told once, to one of the servers, with its owner, its outcome and its chunks', async () => {
    /** @type {Told[]} */
    const told = []
    const onFinish = listen(told)
    const [here, there] = [serve(onFinish), serve(onFinish)]
    const failing = serve(onFinish, { generate: () => Promise.reject(new Error('no')), onError: () => 'no' })
    async function* slowly(/** @type {{ signal: AbortSignal }} */ { signal }) {
      yield* chunksOf(['half'])
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
    const slow = serve(onFinish, { generate: slowly, ifActive: 'takeover' })

    // Of a stream the current and the previous generation are kept: whoever asks more quickly than that loses an answer.
    for (const [count, server] of [here, there, here].entries()) {
      await (await server.POST(request(), at('asked thrice'))).text()
      await until(() => told.length > count)
    }
    await (await failing.POST(request(), at('fails'))).text()
    const stopped = await slow.POST(request(), at('stopped'))
    await until(async () => (await here.engine.status('stopped'))?.lastSeq === 2)
    await there.DELETE(request(), at('stopped'))
    await stopped.text()
    const superseded = await slow.POST(request(), at('taken over'))
    await until(async () => (await here.engine.status('taken over'))?.lastSeq === 2)
    const taker = serve(onFinish, { ifActive: 'takeover' })
    await (await taker.POST(request(), at('taken over'))).text()
    await superseded.text()
    // A stream that is no chat is nobody's business here.
    await (await here.engine.produce('no chat')).complete()

    await until(() => told.length >= 7, {
      timeout: 15_000,
      message: () => `the hooks: ${JSON.stringify(summary(told))}`,
    })
    // What is told twice comes before what ends now.
    await (await here.POST(request(), at('last'))).text()
    await until(() => told.some(({ answer }) => answer.chatId === 'last'))
    assert.deepEqual(summary(told), [
      ['asked thrice', 'complete', 4],
      ['asked thrice', 'complete', 4],
      ['asked thrice', 'complete', 4],
      ['fails', 'failed', 0],
      ['last', 'complete', 4],
      ['stopped', 'stopped', 2],
      ['taken over', 'complete', 4],
      ['taken over', 'interrupted', 2],
    ])
    assert.equal(new Set(told.map(({ answer }) => answer.generation)).size, told.length)
    for (const { answer, chunks } of told) {
      assert.equal(answer.owner, 'ann')
      assert.equal(answer.streamId, answer.chatId)
      if (answer.outcome === 'complete') assert.deepEqual(chunks, chunksOf(WORDS))
    }
  })

  test('an error of the hook goes to onError, and the next answer is told all the same', async () => {
    /** @type {string[]} */
    const told = []
    /** @type {unknown[]} */
    const errors = []
    const failure = new Error('no database')
    const onFinish = (/** @type {FinishedAnswer} */ { chatId }) => {
      told.push(chatId)
      if (chatId === 'fails to be saved') throw failure
    }
    const { POST } = serve(onFinish, {
      engine: open({ keyPrefix: store.prefix() }),
      onError: (/** @type {unknown} */ error) => errors.push(error),
    })
    await (await POST(request(), at('fails to be saved'))).text()
    await (await POST(request(), at('saved'))).text()
    await until(() => told.length === 2)
    assert.deepEqual(told, ['fails to be saved', 'saved'])
    assert.deepEqual(errors, [failure])
  })

  test('hot reload: the newest code is told, and once its engine is closed the code before it', async () => {
    const keyPrefix = store.prefix()
    /** @type {Map<number, string[]>} */
    const told = new Map()
    const versions = Array.from({ length: 20 }, (_, version) => version + 1)
    const evaluate = (/** @type {number} */ version) => {
      told.set(version, [])
      return serve(({ chatId }) => told.get(version)?.push(chatId), { engine: open({ keyPrefix }) })
    }
    const ask = async (/** @type {ReturnType<typeof serve>} */ { POST }, /** @type {string} */ id) => {
      await (await POST(request(), at(id))).text()
      return id
    }
    const servers = []
    for (const version of versions) {
      const server = evaluate(version)
      servers.push(server)
      const id = await ask(server, `one of ${version}`)
      await until(() => told.get(version)?.includes(id))
    }
    const last = servers.at(-1)
    assert.ok(last)
    const ids = await Promise.all(Array.from({ length: 40 }, (_, index) => ask(last, `many ${index}`)))
    await until(() => told.get(20)?.length === 41, { timeout: 20_000 })
    assert.deepEqual(told.get(20)?.toSorted(), ['one of 20', ...ids].sort())
    for (const version of versions) assert.equal(told.get(version)?.length, version === 20 ? 41 : 1)

    await last.engine.close()
    const [before] = servers.slice(-2)
    assert.ok(before)
    const id = await ask(before, 'after')
    await until(() => told.get(19)?.includes(id))
  })

  test('two deployments on one store: each is told of its own answers', async () => {
    const keyPrefix = store.prefix()
    /** @type {string[][]} */
    const told = []
    const deploy = (/** @type {string | undefined} */ deployment) => {
      const onFinish = (/** @type {FinishedAnswer} */ { chatId }) => told.push([String(deployment), chatId])
      return serve(onFinish, { engine: open({ keyPrefix }), ...(deployment && { deployment }) })
    }
    const servers = new Map(['production', 'preview', undefined].map((name) => [name, deploy(name)]))
    const expected = []
    for (let round = 0; round < 5; round++) {
      for (const [name, { POST }] of servers) {
        const id = `${name} ${round}`
        await (await POST(request(), at(id))).text()
        expected.push([String(name), id])
      }
    }
    await until(() => told.length >= expected.length)
    assert.deepEqual(told.sort(), expected.sort())
  })

  test('G5 an answer whose server was killed is told by another one, with the part that is there', {
    skip: store.kind !== 'redis' && 'one process has one memory',
  }, async () => {
    const keyPrefix = store.prefix()
    const options = { url: store.url, keyPrefix, lease: '1s' }
    const child = startChild(new URL('../children/next.mjs', import.meta.url), {
      env: { ENGINE: JSON.stringify(options) },
    })
    await child.next('half')
    await child.kill('SIGKILL')
    /** @type {Told[]} */
    const told = []
    const { GET } = serve(listen(told), { engine: open(options) })
    await (await GET(request(), at('killed'))).text()
    await until(() => told.length > 0, { timeout: 15_000, message: 'the hook' })
    assert.deepEqual(summary(told), [['killed', 'interrupted', 2]])
    assert.equal(told[0]?.answer.reason, 'lease')
    assert.deepEqual(told[0]?.chunks[1], { type: 'data-word', data: 'half' })
  })
})
