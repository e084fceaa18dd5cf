// Any text that a JavaScript program can hold, cut anywhere, by every way into a stream; and bytes that are to be text.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createEngine } from 'tidemark'
import * as chats from 'tidemark/message-stream'
import { createResumableStreamContext } from 'tidemark/resumable-stream'
import { createResumableStreamContext as createRelayContext } from 'tidemark/resumable-stream/generic'
import { defineEvents } from 'tidemark/schema'
import { checkHistory } from '../support/history.mjs'
import { KINDS, Source } from '../support/pipes.mjs'
import { failureOf, HandSource, LocalPubSub, ready, TextReader, textOf } from '../support/resumable.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { follow, numbered, readAll, useEngines } from '../support/streams.mjs'

const MIB = 1 << 20
const LIMIT = 32 * MIB
const HIGH = '\ud83d'
const LOW = '\ude00'
const PARTS = [
  'a',
  'é',
  '漢',
  '😀',
  '👩‍👧',
  '\u{10ffff}',
  HIGH,
  LOW,
  `${LOW}${HIGH}`,
  '\ufeff',
  '\ufffd',
  '\0',
  '\r\n',
  '"',
]

/** @typedef {string | Uint8Array} Data */

/** A text of a dozen characters, some of them halves. @param {import('../support/seed.mjs').Random} random */
function anyText(random) {
  return Array.from({ length: random.int(4, 12) }, () => random.pick(PARTS)).join('')
}

/** A text in pieces: cut in two at every position, into its UTF-16 units, and at random. @param {import('../support/seed.mjs').Random} random */
function cuts(random) {
  const text = anyText(random)
  const all = Array.from({ length: text.length + 1 }, (_, at) => [text.slice(0, at), text.slice(at)])
  all.push(text.split(''), [...text.split('').flatMap((unit) => ['', unit]), ''])
  const some = text.split('').reduce(
    (/** @type {string[]} */ pieces, unit) => {
      if (random.chance(0.4)) pieces.push(unit)
      else pieces[pieces.length - 1] += unit
      return pieces
    },
    [''],
  )
  all.push(some)
  return { text: text.toWellFormed(), all }
}

/** What readers got, put together; none of it may be half a character. @param {Iterable<{ data: Data }>} chunks */
function joined(chunks) {
  const texts = [...chunks].map(({ data }) => data)
  for (const text of texts) assert.ok(typeof text === 'string' && text.isWellFormed(), JSON.stringify(text))
  return texts.join('')
}

/** Reads a web stream to its end. @param {ReadableStream<Data>} stream */
async function local(stream) {
  const chunks = []
  for await (const data of /** @type {any} */ (stream)) chunks.push({ data })
  return chunks
}

/** A publisher that sends UTF-8, as Redis clients do: what is not well-formed is damaged on the way. */
function utf8PubSub() {
  const pubsub = new LocalPubSub()
  const { publish } = pubsub
  pubsub.publish = (channel, message) => publish(channel, Buffer.from(message).toString())
  return pubsub
}

eachStore('any text', (store) => {
  const open = useEngines(store)
  let count = 0
  const newId = () => `text ${++count}`

  before(() => {
    process.env.TIDEMARK_URL = store.url
  })
  after(async () => {
    await chats.cleanup()
    delete process.env.TIDEMARK_URL
  })

  test('G1 write and append: what is read is what was written, with no half a character in it', async () => {
    const random = createRandom(1)
    const engine = open()
    for (let round = 0; round < 6; round++) {
      const { text, all } = cuts(random)
      for (const pieces of all) {
        const ids = [newId(), newId()]
        const [written, appended] = await Promise.all(ids.map((id) => engine.produce(id)))
        for (const piece of pieces) written?.write(piece)
        const cursors = await Promise.all(pieces.map((piece) => appended?.append(piece)))
        // Every call is a chunk, whatever was kept of it.
        assert.deepEqual(
          cursors,
          pieces.map((_, index) => `${appended?.generation}.${index + 1}`),
        )
        await Promise.all([
          written?.complete(),
          random.chance(0.5) ? appended?.complete() : appended?.fail(''),
        ])
        for (const id of ids) {
          const { chunks } = await readAll(engine, id)
          assert.equal(joined(chunks), text, JSON.stringify(pieces))
          // What was left at the end is one of its own.
          assert.deepEqual(
            chunks.slice(pieces.length).map(({ data }) => data),
            chunks.length === pieces.length ? [] : ['\ufffd'],
          )
        }
      }
    }
  })

  test('G1 pipe: the local client and every other reader get it', async () => {
    const random = createRandom(2)
    const engine = open()
    for (const kind of KINDS) {
      const { text, all } = cuts(random)
      for (const pieces of all) {
        const id = newId()
        const chunks = await local(engine.pipe(id, new Source(pieces).as(kind)))
        assert.equal(joined(chunks), text, JSON.stringify(pieces))
        const reader = await readAll(engine, id)
        assert.equal(reader.outcome, 'complete')
        assert.deepEqual(
          reader.chunks.map(({ data }) => data),
          chunks.map(({ data }) => data),
        )
      }
    }
  })

  test('a drop-in for resumable-stream: its creator, and whoever resumes', async () => {
    const random = createRandom(3)
    const context = createResumableStreamContext({ engine: open(), waitUntil: null, replayAfterDone: true })
    for (let round = 0; round < 3; round++) {
      const { text, all } = cuts(random)
      for (const pieces of all) {
        const id = newId()
        const created = await context.createNewResumableStream(id, ready(pieces))
        assert.equal(joined(await local(/** @type {any} */ (created))), text, JSON.stringify(pieces))
        const resumed = await context.resumeExistingStream(id)
        assert.equal(joined(await local(/** @type {any} */ (resumed))), text, JSON.stringify(pieces))
      }
    }
  })

  test('message-stream: the pieces of an answer, and the whole of it', async () => {
    const random = createRandom(4)
    for (let round = 0; round < 2; round++) {
      const { text, all } = cuts(random)
      for (const pieces of all) {
        const chatId = newId()
        const said = `${HIGH}hello${LOW}`
        const data = /** @type {const} */ ({ chatId, userContent: said, type: 'ai', intervalMs: 0 })
        const run = chats.startMessageChunkStream(data, {
          source: () => ready(pieces)(),
        })
        assert.equal(await run.finished, 'complete')
        const events = []
        for await (const event of chats.subscribeToMessageChunkStream(chatId)) events.push(event)
        assert.equal(joined(events.flatMap(({ chunk: data }) => (data ? [{ data }] : []))), text)
        assert.equal(events[0]?.message?.content, said.toWellFormed())
        assert.equal(events.at(-1)?.message?.content, text, JSON.stringify(pieces))
      }
    }
  })

  test('typed events and metadata: JSON has a way to say halves, so they come as they were', async () => {
    const random = createRandom(5)
    const engine = open()
    const any = /** @type {const} */ ({
      '~standard': { version: 1, vendor: 'test', validate: (/** @type {any} */ value) => ({ value }) },
    })
    const events = defineEvents({ piece: any })
    for (let round = 0; round < 2; round++) {
      const { all } = cuts(random)
      for (const pieces of all) {
        const id = newId()
        const metadata = { pieces, b: 1, a: [2] }
        const producer = await events.produce(engine, id, { metadata })
        for (const text of pieces) producer.write(/** @type {any} */ ({ type: 'piece', text }))
        await producer.complete()
        const read = []
        for await (const { event } of events.subscribe(engine, id)) read.push(/** @type {any} */ (event).text)
        assert.deepEqual(read, pieces)
        assert.equal(JSON.stringify((await engine.status(id))?.metadata), JSON.stringify(metadata))
      }
    }
  })

  test('G2 what is kept is written with the next chunk of text, and not before', async () => {
    const engine = open()
    const producer = await engine.produce('kept')
    const reader = follow(engine, 'kept')
    assert.match(await producer.append(`a${HIGH}`), /\.1$/)
    assert.match(await producer.append(HIGH), /\.2$/)
    producer.write('')
    await producer.flush()
    await reader.has(3)
    assert.match(await producer.append(`${LOW}b${HIGH}`), /\.4$/)
    assert.match(await producer.append(Uint8Array.of(1)), /\.6$/)
    assert.match(await producer.append(LOW), /\.7$/)
    assert.match(await producer.append(`c${HIGH}`), /\.8$/)
    assert.match(await producer.append('d'), /\.9$/)
    producer.write(HIGH)
    await producer.complete()
    const written = [
      'a',
      '\ufffd',
      '',
      '😀b',
      '\ufffd',
      Uint8Array.of(1),
      '\ufffd',
      'c',
      '\ufffdd',
      '',
      '\ufffd',
    ]
    checkHistory({ written: numbered(written), readers: [await reader.end()] })
  })

  test('each of several producers has halves of its own', async () => {
    const engine = open()
    const [one, two] = [
      await engine.produce('own', { ifActive: 'share' }),
      await engine.produce('own', { ifActive: 'share' }),
    ]
    await one.append(`1${HIGH}`)
    await two.append(`2${HIGH}`)
    await one.append(`${LOW}1`)
    await two.append('2')
    await one.append(HIGH)
    await one.complete()
    await two.complete()
    const written = ['1', '2', '😀1', '\ufffd2', '', '\ufffd']
    checkHistory({ written: numbered(written), readers: [await readAll(engine, 'own')] })
  })

  test('however a producer is left, what is kept is written', async () => {
    /** @type {Record<string, (producer: import('tidemark').Producer, engine: import('tidemark').Engine) => unknown>} */
    const ends = {
      complete: (producer) => producer.complete(),
      fail: (producer) => producer.fail(new Error('it failed')),
      dispose: (producer) => producer[Symbol.asyncDispose](),
      close: (_, engine) => engine.close(),
    }
    for (const [name, end] of Object.entries(ends)) {
      const engine = open()
      const producer = await engine.produce(`left by ${name}`)
      producer.write(`x${HIGH}`)
      await end(producer, engine)
      const { chunks } = await readAll(open(), `left by ${name}`)
      assert.deepEqual(
        chunks.map(({ data }) => data),
        ['x', '\ufffd'],
        name,
      )
    }
  })

  test('the longest chunk may begin with the other half, and one that is too long changes nothing', async () => {
    const engine = open()
    const producer = await engine.produce('long')
    // In UTF-8 a half counts as U+FFFD: three bytes, where the whole character has four.
    const long = LOW.padEnd(LIMIT - 2, 'x')
    for (const next of [long, 'y'.repeat(LIMIT)]) {
      producer.write(HIGH)
      // A chunk beyond the queue's bound is taken when nothing is before it.
      await producer.flush()
      assert.throws(() => producer.write('x'.repeat(LIMIT + 1)), {
        code: 'ERR_INVALID_ARGUMENT',
        field: 'chunk',
      })
      assert.throws(() => producer.write(`${LOW}${'x'.repeat(LIMIT)}`), { field: 'chunk' })
      assert.throws(() => producer.write(new Uint8Array(LIMIT + 1)), { field: 'chunk' })
      producer.write(next)
      await producer.flush()
    }
    await producer.complete()
    const written = ['', '😀', long.slice(1), '', '\ufffd', 'y'.repeat(LIMIT)]
    checkHistory({ written: numbered(written), readers: [await readAll(engine, 'long')] })
  })

  test('bytes in a stream of text: no mark and no half a character is lost', async () => {
    const random = createRandom(6)
    const engine = open()
    const context = createResumableStreamContext({ engine, waitUntil: null, replayAfterDone: true })
    for (const { chunks, text } of mixed(random)) {
      const id = newId()
      const created = await context.createNewResumableStream(id, /** @type {any} */ (ready(chunks)))
      await local(/** @type {any} */ (created))
      assert.equal(await textOf(await context.resumeExistingStream(id)), text, JSON.stringify(chunks))
      const skip = random.int(0, text.length)
      assert.equal(await textOf(await context.resumeExistingStream(id, skip)), text.slice(skip))
    }
    // The last of it comes before the error of a source that fails.
    const source = new HandSource()
    const created = await context.createNewResumableStream('failing', source.make)
    source.write('a', Uint8Array.of(0xe2, 0x82))
    await new TextReader(/** @type {any} */ (created)).has(1)
    source.fail(new Error('it failed'))
    const { text, error } = await failureOf(await context.resumeExistingStream('failing'))
    assert.deepEqual([text, error.code], ['a\ufffd', 'ERR_FAILED'])
  })
})

/** Text of which some is bytes, cut at every byte. @param {import('../support/seed.mjs').Random} random */
function mixed(random) {
  const encoder = new TextEncoder()
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  /** @type {{ chunks: Data[], text: string }[]} */
  const all = [
    {
      chunks: [encoder.encode('\ufeffa'), '\ufeffb', encoder.encode('\ufeffc')],
      text: '\ufeffa\ufeffb\ufeffc',
    },
    { chunks: [Uint8Array.of(0xef, 0xbb), Uint8Array.of(0xbf, 0x61)], text: '\ufeffa' },
    { chunks: [Uint8Array.of(0xf0, 0x9f), 'x', Uint8Array.of(0x98, 0x80)], text: '\ufffdx\ufffd\ufffd' },
    { chunks: [Uint8Array.of(0xf0, 0x9f), '', Uint8Array.of(0x98, 0x80)], text: '😀' },
    { chunks: ['x', Uint8Array.of(0xe2, 0x82)], text: 'x\ufffd' },
    { chunks: [`x${HIGH}`, encoder.encode('y'), LOW], text: 'x\ufffdy\ufffd' },
    { chunks: [Uint8Array.of(0xff), new Uint8Array(0), Uint8Array.of(0xe2)], text: '\ufffd\ufffd' },
  ]
  for (let round = 0; round < 2; round++) {
    const bytes = encoder.encode(anyText(random))
    for (let at = 0; at <= bytes.length; at++) {
      const [one, two] = [bytes.slice(0, at), bytes.slice(at)]
      all.push({ chunks: [one, two], text: decoder.decode(bytes) })
      if (at === 0) continue
      all.push({ chunks: [one, '|', two], text: `${decoder.decode(one)}|${decoder.decode(two)}` })
    }
  }
  return all
}

describe('any text, without a store', () => {
  test('what is passed through comes as from a stream', async () => {
    const random = createRandom(7)
    const engine = createEngine({ url: 'redis://127.0.0.1:1', connectTimeout: 10 })
    const { text, all } = cuts(random)
    for (const pieces of all) {
      const chunks = await local(engine.pipe('nowhere', new Source(pieces).as(random.pick(KINDS))))
      assert.equal(joined(chunks), text, JSON.stringify(pieces))
    }
    const mixed = [`a${HIGH}`, Uint8Array.of(1), LOW, HIGH]
    const chunks = await local(engine.pipe('nowhere', new Source(mixed).as('iterable')))
    assert.deepEqual(
      chunks.map(({ data }) => data),
      ['a', '\ufffd', Uint8Array.of(1), '\ufffd', '', '\ufffd'],
    )
    await engine.close()
  })

  test('a drop-in that relays', async () => {
    const random = createRandom(8)
    const pubsub = utf8PubSub()
    const context = createRelayContext({ publisher: pubsub, subscriber: pubsub, waitUntil: null })
    /** @type {{ chunks: Data[], text: string }[]} */
    const all = mixed(random)
    for (let round = 0; round < 2; round++) {
      const { text, all: some } = cuts(random)
      all.push(...some.map((chunks) => ({ chunks, text })))
    }
    for (const [index, { chunks, text }] of all.entries()) {
      const source = new HandSource()
      const created = await context.createNewResumableStream(`s${index}`, source.make)
      const early = await context.resumeExistingStream(`s${index}`)
      const half = random.int(0, chunks.length)
      source.write(...chunks.slice(0, half))
      const later = await context.resumeExistingStream(`s${index}`)
      source.write(...chunks.slice(half)).close()
      for (const stream of [created, early, later]) {
        assert.equal(joined(await local(/** @type {any} */ (stream))), text, JSON.stringify(chunks))
      }
    }
  })
})
