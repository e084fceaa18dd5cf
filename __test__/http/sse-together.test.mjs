// Many responses of one stream, which share what was framed: each gets every chunk once, in order, whatever the others do.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { EventParser, EventReader } from '../support/event-source.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { numbered, produceAll, texts, useEngines } from '../support/streams.mjs'
import { deadline } from '../support/wait.mjs'

const get = () => new Request('http://localhost/')
const END_MS = 60_000

/** Chunks of all kinds and lengths: unlike each other, so that none is taken for another. @param {number} count @param {number} salt */
function mixed(count, salt) {
  const random = createRandom(salt)
  return Array.from({ length: count }, (_, index) => {
    const text = `${index} ${'ä\n\r\0 x'.slice(0, random.int(0, 6))}${'y'.repeat(random.int(0, 120))}`
    if (index === Math.floor(count / 2)) return `${index} ${'large'.repeat(300_000)}`
    if (random.chance(0.01)) return `${index} ${'long'.repeat(random.int(1, 30_000))}`
    return random.chance(0.2) ? new TextEncoder().encode(text) : text
  })
}

/**
 * Reads as a client does that is slow now and then, leaves and comes back.
 * @param {import('tidemark').Engine} engine @param {string} streamId
 * @param {{ name: string, from: number, generation: string, random: import('../support/seed.mjs').Random }} how
 */
async function wandering(engine, streamId, { name, from, generation, random }) {
  const reader = Object.assign(new EventReader(name), { from })
  let cursor = from === 0 ? 'start' : `${generation}.${from}`
  while (reader.end === undefined) {
    const { body } = await engine.respond(get(), streamId, { from: cursor })
    const leavesAfter = random.chance(0.5) ? random.int(1, 12) : Number.POSITIVE_INFINITY
    await reader.read(/** @type {any} */ (paced(body, leavesAfter, random)))
    if (reader.error !== undefined) throw reader.error
    // What it has seen of an event that was not complete comes again.
    reader.parser = Object.assign(new EventParser(), { events: reader.parser.events })
    cursor = reader.chunks.at(-1)?.cursor ?? cursor
  }
  return { name, from, chunks: reader.chunks, outcome: reader.outcome }
}

/** An answer of many parts, no two of its words alike, with something between that nothing joins. @param {number} count */
function answer(count) {
  const start = { type: 'start', messageId: 'message-1' }
  const chunks = Array.from({ length: count }, (_, index) => {
    const [id, kind] = [String(Math.floor(index / 300)), index % 600 < 300 ? 'text' : 'reasoning']
    if (index % 300 === 0) return { type: `${kind}-start`, id }
    if (index % 300 === 299) return { type: `${kind}-end`, id }
    if (index === count / 2 + 50) return { type: 'data-large', data: 'large'.repeat(300_000) }
    if (index % 700 === 650) return { type: 'data-word', data: `[${index}]` }
    return { type: `${kind}-delta`, id, delta: `wörd ${index}\n` }
  })
  return [start, ...chunks]
}

/** What a chunk adds to what a client has of an answer. @param {{ type: string, delta?: string, data?: string }} chunk */
const worth = ({ type, delta, data }) => delta ?? data ?? (/-start$/.test(type) ? '' : `<${type}>`)

/**
 * Reads merged replays as such a client does; resolves with what it has got.
 * @param {import('tidemark').Engine} engine @param {string} streamId
 * @param {{ cursor: string, random: import('../support/seed.mjs').Random }} how
 */
async function merging(engine, streamId, { cursor, random }) {
  let got = ''
  for (let last = ''; last !== '[DONE]'; ) {
    const { body } = await engine.respond(get(), streamId, { from: cursor, format: 'ui-messages' })
    const parser = new EventParser()
    const leavesAfter = random.chance(0.5) ? random.int(1, 6) : Number.POSITIVE_INFINITY
    for await (const piece of paced(body, leavesAfter, random)) parser.push(piece)
    for (const { data, id, hasId } of parser.events) {
      if (hasId) {
        cursor = id
        got += worth(JSON.parse(data))
      }
      last = data
    }
  }
  return got
}

/** @param {any} body @param {number} pieces after which it is left @param {import('../support/seed.mjs').Random} random */
async function* paced(body, pieces, random) {
  let left = pieces
  for await (const piece of body) {
    yield piece
    if (--left === 0) return
    for (let turns = random.int(0, 3); turns > 0; turns--) await turn()
  }
}

eachStore('responses together', (store) => {
  const open = useEngines(store)

  test('G1 forty wander through one stream, from everywhere, while it grows and when it has ended', async () => {
    const random = createRandom(1)
    const chunks = mixed(3_000, 2)
    const engine = open()
    const producer = await engine.produce('wandered')
    /** @param {string} when @param {number} upTo */
    const some = (when, upTo) =>
      Array.from({ length: 20 }, (_, index) =>
        wandering(index % 4 === 0 ? open() : engine, 'wandered', {
          name: `reader ${index} ${when}`,
          from: index % 2 === 0 ? 0 : random.int(0, upTo),
          generation: producer.generation,
          random: createRandom(100 + index),
        }),
      )
    /** @type {ReturnType<typeof wandering>[]} */
    let early = []
    for (const [index, chunk] of chunks.entries()) {
      if (!producer.write(chunk)) await producer.ready
      if (index === 1_200) {
        await producer.flush()
        early = some('early', 1_200)
      }
      if (index > 1_200 && index % 100 === 0) await turn()
    }
    await producer.complete()
    const late = some('late', chunks.length)
    const readers = await deadline(Promise.all([...early, ...late]), END_MS, 'all have read it to its end')
    checkHistory({ written: numbered(chunks), readers })
  })

  test('G1 what a response was given is its own, to change or to give away', async () => {
    const chunks = texts(4_000, 'a chunk that is to be found as it was written')
    const engine = open()
    await produceAll(engine, 'own', chunks)
    const body = async () => /** @type {any} */ ((await engine.respond(get(), 'own')).body)
    const bodies = await Promise.all([body(), body(), body()])
    const reader = new EventReader('beside them')
    const spoil = async () => {
      for await (const piece of bodies[0]) piece.fill(0)
    }
    const move = async () => {
      for await (const piece of bodies[1]) {
        assert.equal(Object.getPrototypeOf(piece), Uint8Array.prototype)
        assert.equal(piece.byteLength, piece.buffer.byteLength, 'nothing else lies beside it')
        structuredClone(piece, { transfer: [piece.buffer] })
      }
    }
    await Promise.all([spoil(), move(), reader.read(bodies[2])])
    assert.equal(reader.error, undefined)
    checkHistory({ written: numbered(chunks), readers: [reader] })
  })

  test('events for the AI SDK are the same for all, exact or merged, from the start or after a cursor', async () => {
    const engine = open()
    const chunks = Array.from({ length: 3_000 }, (_, index) =>
      JSON.stringify({ type: 'data-x', data: `${index} of a long answer` }),
    )
    const { generation } = await produceAll(engine, 'ui', chunks)
    const options = /** @type {const} */ ({ format: 'ui-messages' })
    const bodies = [0, 0, 1_000, 2_999].map(async (from, index) => {
      const cursor = from === 0 ? 'start' : `${generation}.${from}`
      const replay = index === 1 ? 'merged' : 'exact'
      return (await engine.respond(get(), 'ui', { ...options, from: cursor, replay })).text()
    })
    const [exact = '', merged, ...rest] = await Promise.all(bodies)
    assert.equal(merged, exact, 'nothing of it can be joined')
    for (const [index, from] of [1_000, 2_999].entries()) {
      const at = exact.indexOf(`id: ${generation}.${from + 1}\n`)
      assert.equal(rest[index]?.slice(rest[index]?.indexOf('id: ')), exact.slice(at))
    }
    assert.equal(exact.split('\nid: ').length - 1, chunks.length)
  })

  test('G1 forty merge one answer, from everywhere, while it grows and when it has ended', async () => {
    const random = createRandom(3)
    const chunks = answer(4_200)
    const engine = open()
    const producer = await engine.produce('merged')
    /** @param {number} upTo */
    const some = (upTo) =>
      Array.from({ length: 20 }, async (_, index) => {
        const from = index % 2 === 0 ? 0 : random.int(1, upTo)
        const cursor = from === 0 ? 'start' : `${producer.generation}.${from}`
        const how = { cursor, random: createRandom(200 + index) }
        return { from, got: await merging(index % 4 === 0 ? open() : engine, 'merged', how) }
      })
    /** @type {ReturnType<typeof some>} */
    let early = []
    for (const [index, chunk] of chunks.entries()) {
      if (!producer.write(JSON.stringify(chunk))) await producer.ready
      if (index === 1_700) {
        await producer.flush()
        early = some(1_700)
      }
      if (index > 1_700 && index % 100 === 0) await turn()
    }
    await producer.complete()
    const late = some(chunks.length - 1)
    const readers = await deadline(Promise.all([...early, ...late]), END_MS, 'all have read it to its end')
    for (const { from, got } of readers) {
      const rest = chunks.slice(from).map(worth).join('')
      // The whole of it would be too long to be shown.
      if (got !== rest) assert.fail(`after ${from}: ${got.length} characters of ${rest.length}`)
    }
  })
})
