// The replay of an AI SDK's answer: what its own readers make of it, in all versions, from every place.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as ai7 from 'ai'
import * as ai5 from 'ai-5'
import * as ai6 from 'ai-6'
import { readEvents } from '../support/event-source.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'

const VERSIONS = { ai5, ai6, ai7 }
const DELTAS = ['text-delta', 'reasoning-delta', 'tool-input-delta']

/** @typedef {{ type: string, [field: string]: any }} Chunk a UI message chunk */

/** An answer with everything that has parts; ids are used again in every step, as models do. @param {number} [words] */
function answer(words = 20) {
  /** @type {Chunk[]} */
  const chunks = [{ type: 'start', messageId: 'message-1' }]
  for (const step of [1, 2]) {
    chunks.push({ type: 'start-step' }, { type: 'reasoning-start', id: '0' })
    for (let word = 0; word < words; word++)
      chunks.push({ type: 'reasoning-delta', id: '0', delta: `think ${word}\n` })
    chunks.push({ type: 'reasoning-end', id: '0' }, { type: 'text-start', id: '0' })
    for (let word = 0; word < words; word++)
      chunks.push({ type: 'text-delta', id: '0', delta: `wörd ${word} ` })
    chunks.push({ type: 'text-end', id: '0' })
    if (step === 1) {
      const input = JSON.stringify({ city: 'Oslo', days: [1, 2, 3] })
      const call = { toolCallId: 'call-1', toolName: 'weather' }
      chunks.push({ type: 'tool-input-start', ...call })
      for (const inputTextDelta of input.match(/.{1,3}/g) ?? [])
        chunks.push({ type: 'tool-input-delta', toolCallId: 'call-1', inputTextDelta })
      chunks.push({ type: 'tool-input-available', ...call, input: JSON.parse(input) })
      chunks.push({ type: 'tool-output-available', toolCallId: 'call-1', output: { degrees: 7 } })
    }
    chunks.push({ type: 'finish-step' })
  }
  chunks.push({ type: 'finish' })
  return chunks
}

/** What a client of the AI SDK shows in the end. @param {keyof typeof VERSIONS} version @param {Chunk[]} chunks */
async function shown(version, chunks) {
  const ai = /** @type {any} */ (VERSIONS[version])
  const stream = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })
  let message
  const onError = (/** @type {unknown} */ error) => {
    throw error
  }
  for await (const next of ai.readUIMessageStream({ stream, onError, terminateOnError: true })) message = next
  return JSON.parse(JSON.stringify(message ?? null))
}

/** The UI message chunks of a response. @param {Response} response */
async function chunksOf(response) {
  const { parser } = await readEvents(response)
  assert.equal(parser.events.pop()?.data, '[DONE]')
  return parser.events.map(({ data, id, hasId }) => ({
    chunk: /** @type {Chunk} */ (JSON.parse(data)),
    id,
    hasId,
  }))
}

const request = new Request('http://localhost/')
const ui = /** @type {const} */ ({ format: 'ui-messages' })

eachStore('replay', (store) => {
  const open = useEngines(store)

  /** @param {string} streamId @param {Chunk[]} chunks */
  async function produce(streamId, chunks) {
    const engine = open()
    const producer = await engine.produce(streamId)
    for (const chunk of chunks) if (!producer.write(JSON.stringify(chunk))) await producer.ready
    return { engine, producer }
  }

  test('the merged replay shows the same message as the exact one, in ai 5, 6 and 7', async () => {
    const chunks = answer()
    const { engine, producer } = await produce('same', chunks)
    await producer.complete()
    const exact = await chunksOf(await engine.respond(request, 'same', { ...ui, replay: 'exact' }))
    assert.deepEqual(
      exact.map(({ chunk }) => chunk),
      chunks,
    )
    for (const reader of [engine, open()]) {
      const merged = await chunksOf(await reader.respond(request, 'same', ui))
      const deltas = merged.filter(({ chunk }) => DELTAS.includes(chunk.type))
      assert.equal(deltas.length, 5)
      assert.equal(merged.at(-1)?.id, exact.at(-1)?.id)
      for (const version of /** @type {const} */ (['ai5', 'ai6', 'ai7'])) {
        const seen = await shown(
          version,
          merged.map(({ chunk }) => chunk),
        )
        assert.deepEqual(seen, await shown(version, chunks), version)
        assert.equal(seen.parts.filter((/** @type {Chunk} */ { type }) => type === 'text').length, 2)
      }
    }
  })

  test('5,000 chunks are replayed as a few, and what comes live is exact', async () => {
    const chunks = answer(1250)
    const half = chunks.length - 700
    const { engine, producer } = await produce('large', chunks.slice(0, half))
    await producer.flush()
    const response = await open().respond(request, 'large', ui)
    for (const chunk of chunks.slice(half)) if (!producer.write(JSON.stringify(chunk))) await producer.ready
    await producer.complete()
    const all = await chunksOf(response)
    const live = all.filter(({ id }) => Number(id.split('.')[1]) > half)
    assert.deepEqual(
      live.map(({ chunk }) => chunk),
      chunks.slice(half),
    )
    assert.ok(all.length - live.length < 40, `${all.length - live.length} chunks replayed`)
    const text = await shown(
      'ai7',
      all.map(({ chunk }) => chunk),
    )
    assert.deepEqual(text, await shown('ai7', chunks))
    const replay = await chunksOf(await engine.respond(request, 'large', ui))
    assert.ok(replay.length < 40, `${replay.length} chunks replayed`)
  })

  test('a cursor inside a part gets its start again, wherever it is, and no id with it', async () => {
    const chunks = answer(4)
    const { engine, producer } = await produce('inside', chunks)
    await producer.complete()
    const versions = /** @type {(keyof typeof VERSIONS)[]} */ (Object.keys(VERSIONS))
    for (let seen = 1; seen < chunks.length; seen++) {
      const cursor = `${producer.generation}.${seen}`
      const rest = await chunksOf(await engine.respond(request, 'inside', { ...ui, from: cursor }))
      const started = rest.filter(({ hasId }) => !hasId).map(({ chunk }) => chunk)
      const open = openParts(chunks.slice(0, seen))
      assert.deepEqual(started, open, `after ${seen}`)
      assert.ok(rest.every(({ hasId }, index) => hasId === index >= open.length))
      // Nothing that the AI SDK would throw at: a part without its start.
      const version = /** @type {keyof typeof VERSIONS} */ (versions[seen % 3])
      const output = chunks.slice(seen).find(({ type }) => type === 'tool-output-available')
      if (output && !chunks.slice(seen).some(({ type }) => type === 'tool-input-available')) continue
      await shown(
        version,
        rest.map(({ chunk }) => chunk),
      )
    }
  })

  test('merged, from any cursor and with any reader in between, brings every delta once', async () => {
    const random = createRandom(44)
    const chunks = answer(60)
    const written = chunks
      .filter(({ type }) => DELTAS.includes(type))
      .map(deltaOf)
      .join('')
    const { engine, producer } = await produce('any', [])
    let text = ''
    let from = 'start'
    let next = 0
    while (next < chunks.length) {
      for (const end = Math.min(chunks.length, next + random.int(1, 40)); next < end; next++)
        await producer.append(JSON.stringify(chunks[next]))
      if (next === chunks.length) await producer.complete()
      const maxDurationMs = next === chunks.length ? undefined : 20
      const response = await engine.respond(request, 'any', { ...ui, from, maxDurationMs })
      const { parser } = await readEvents(response)
      for (const { data, id, hasId } of parser.events) {
        if (hasId) from = id
        if (data === '[DONE]') continue
        const chunk = JSON.parse(data)
        if (DELTAS.includes(chunk.type)) text += deltaOf(chunk)
      }
    }
    assert.equal(text, written)
  })
})

/** @param {Chunk} chunk */
const deltaOf = ({ delta, inputTextDelta }) => delta ?? inputTextDelta

/** The starts that have no end. @param {Chunk[]} chunks */
function openParts(chunks) {
  const ends = {
    'text-start': 'text-end',
    'reasoning-start': 'reasoning-end',
    'tool-input-start': 'tool-input-available',
  }
  return chunks.filter((start, index) => {
    const end = ends[/** @type {keyof typeof ends} */ (start.type)]
    return end && !chunks.slice(index).some(({ type }) => type === end)
  })
}
