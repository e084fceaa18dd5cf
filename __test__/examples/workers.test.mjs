// `examples/workers`: a model's own stream is resumed by the next worker, in the same answer.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import OpenAI from 'openai'
import { createEngine } from 'tidemark'
import { feed } from '../../examples/workers/feed.mjs'
import { startModel } from '../../examples/workers/model.mjs'
import { startChild } from '../support/child.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore, TestStore } from '../support/stores.mjs'
import { follow, numbered, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const WORDS = Array.from({ length: 120 }, (_, index) => `wörd ${index + 1} 🌊 `)
const CHUNKS = [{ n: 0, id: 'resp_1' }, ...WORDS.map((delta, index) => ({ n: index + 1, delta }))].map(
  (chunk) => JSON.stringify(chunk),
)
const question = { model: 'gpt-5-mini', input: 'Why is the sky blue?' }

const redis = new TestStore('redis')
before(() => redis.start())

test('G1 G3 G4 the worker is killed again and again: one answer, no gap, no duplicate', async (t) => {
  const random = createRandom(2)
  // It is not at its end before the last worker has been killed, however long those take to start.
  const model = await startModel(WORDS, { paceMs: 200 })
  t.after(() => model.close())
  const env = {
    TIDEMARK_URL: redis.url,
    OPENAI_BASE_URL: model.url,
    OPENAI_API_KEY: 'none',
  }
  const engine = createEngine({ url: redis.url })
  t.after(() => engine.close())
  const streamId = `worker-${redis.prefix()}`
  const start = () => {
    const script = new URL('../../examples/workers/worker.mjs', import.meta.url)
    const worker = startChild(script, { args: [streamId], env })
    t.after(() => worker.kill())
    return worker
  }
  const reader = follow(engine, streamId)
  let worker = start()
  for (let kills = 0; kills < 3; kills++) {
    const seen = reader.chunks.length
    await reader.has(seen + random.int(1, 12))
    // With the first, or while it is at work, or when it has hardly begun.
    await worker.kill('SIGKILL')
    worker = start()
  }
  model.paceMs = 0
  await reader.end(30_000)
  assert.equal(reader.outcome, 'complete', `${worker.output}`)
  checkHistory({ written: numbered(CHUNKS), readers: [reader] })
  assert.equal(model.created, 1)
  assert.ok(model.resumed.length >= 1, 'the rest was asked for')
  t.diagnostic(`resumed after ${model.resumed}`)
  await engine.delete(streamId)
})

eachStore('workers', (store) => {
  const open = useEngines(store)

  /** @param {import('node:test').TestContext} t @param {number} paceMs */
  async function modelOf(t, paceMs) {
    const model = await startModel(WORDS, { paceMs })
    t.after(() => model.close())
    return { model, openai: () => new OpenAI({ baseURL: model.url, apiKey: 'none', maxRetries: 0 }) }
  }

  test('two workers with the same job: the later one goes on, the earlier one leaves', async (t) => {
    const { model, openai } = await modelOf(t, 100)
    const [one, other] = [open(), open()]
    const reader = follow(other, 'twice')
    const first = feed(one, openai(), 'twice', question)
    await reader.has(5)
    const second = feed(other, openai(), 'twice', question)
    await until(() => model.resumed.length === 1)
    model.paceMs = 0
    assert.equal(await second, 'complete')
    assert.equal(await first, undefined)
    checkHistory({ written: numbered(CHUNKS), readers: [await reader.end()] })
    assert.deepEqual([model.created, model.cancelled], [1, 0])
  })

  test('G6 a stop cancels the model, also that of the worker before', async (t) => {
    const { model, openai } = await modelOf(t, 20)
    const engine = open()
    feed(engine, openai(), 'stopped', question).catch(() => {})
    await follow(engine, 'stopped').has(5)
    const second = feed(open(), openai(), 'stopped', question)
    await until(() => model.resumed.length === 1)
    await engine.stop('stopped')
    assert.equal(await second, 'stopped')
    await until(() => model.cancelled === 1)
  })

  test('an answer that has ended is not begun again', async (t) => {
    const { model, openai } = await modelOf(t, 0)
    const engine = open()
    assert.equal(await feed(engine, openai(), 'over', question), 'complete')
    await assert.rejects(feed(engine, openai(), 'over', question), { code: 'ERR_ENDED' })
    assert.equal(model.created, 1)
  })
})
