// The drop-in and the original side by side: the same scenarios, on the same Redis. Both columns are printed.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { inspect } from 'node:util'
import * as original from 'resumable-stream'
import * as originalGeneric from 'resumable-stream/generic'
import * as originalIoredis from 'resumable-stream/ioredis'
import { createEngine } from 'tidemark'
import * as drop from 'tidemark/resumable-stream'
import * as dropGeneric from 'tidemark/resumable-stream/generic'
import { CLIENT_KINDS, RedisClients } from '../support/redis-clients.mjs'
import { HandSource, LocalPubSub, ready, TextReader, textOf } from '../support/resumable.mjs'
import { TestStore } from '../support/stores.mjs'
import { deadline, until } from '../support/wait.mjs'

/** @typedef {drop.CreateResumableStreamContextOptions} Options */
/** @typedef {{ open: (options?: Partial<Options>) => drop.ResumableStreamContext, resumeStream: any, wire: () => object }} Side */

/** What a scenario gets. @typedef {Side & { ctx: drop.ResumableStreamContext }} Tools */

/**
 * Texts are what arrives at a client: encoded, so that half a character is a replacement character everywhere.
 * @param {string} text
 */
const encoded = (text) => new TextDecoder().decode(new TextEncoder().encode(text))

/** @param {Promise<unknown>} promise */
const messageOf = (promise) =>
  promise.then(
    () => 'no error',
    (error) => error.message,
  )

/**
 * `gives` is what all give; the original may also fail with `originalMay`.
 * @type {Record<string, { run: (tools: Tools) => Promise<unknown>, gives: unknown, originalMay?: string }>}
 */
const scenarios = {
  'acts like a normal stream': {
    async run({ ctx }) {
      const source = new HandSource()
      const stream = await ctx.resumableStream('s', source.make)
      source.write('1\n', '2\n', '3\n').close()
      return [await textOf(stream), source.calls]
    },
    gives: ['1\n2\n3\n', 1],
  },
  'a resumer reads the same, whoever is read first': {
    async run({ ctx }) {
      const texts = []
      for (const id of ['creator first', 'resumer first']) {
        const source = new HandSource()
        const streams = [
          await ctx.resumableStream(id, source.make),
          await ctx.resumableStream(id, source.make),
        ]
        source.write('1\n', '2\n').close()
        if (id === 'resumer first') streams.reverse()
        for (const stream of streams) texts.push(await textOf(stream))
        texts.push(source.calls)
      }
      return texts
    },
    gives: ['1\n2\n', '1\n2\n', 1, '1\n2\n', '1\n2\n', 1],
  },
  'a first read gives the first chunk, while the stream goes on': {
    async run({ ctx }) {
      const source = new HandSource()
      const creator = new TextReader(await ctx.createNewResumableStream('s', source.make))
      source.write('1\n')
      const first = await creator.next()
      const resumer = new TextReader(await ctx.resumeExistingStream('s'))
      const firsts = [first, await resumer.next()]
      source.write('2\n').close()
      return [firsts, await creator.rest(), await resumer.rest()]
    },
    gives: [['1\n', '1\n'], '2\n', '2\n'],
  },
  'each live chunk arrives as it was written': {
    async run({ ctx }) {
      const source = new HandSource()
      const readers = [new TextReader(await ctx.createNewResumableStream('s', source.make))]
      readers.push(new TextReader(await ctx.resumeExistingStream('s')))
      const seen = []
      for (const chunk of ['data: a\n\n', 'data: b\n\ndata: c\n\n', 'x', 'ü🦀']) {
        source.write(chunk)
        for (const reader of readers) seen.push(await reader.next())
      }
      source.close()
      return [seen, await readers[0]?.next(), await readers[1]?.next()]
    },
    gives: [
      [
        'data: a\n\n',
        'data: a\n\n',
        'data: b\n\ndata: c\n\n',
        'data: b\n\ndata: c\n\n',
        'x',
        'x',
        'ü🦀',
        'ü🦀',
      ],
      undefined,
      undefined,
    ],
  },
  'hasExistingStream: null, true, DONE': {
    async run({ ctx }) {
      const source = new HandSource()
      const states = [await ctx.hasExistingStream('s')]
      const stream = await ctx.resumableStream('s', source.make)
      states.push(await ctx.hasExistingStream('s'), await ctx.hasExistingStream('another'))
      source.write('x').close()
      await textOf(stream)
      await until(async () => (await ctx.hasExistingStream('s')) !== true)
      return [...states, await ctx.hasExistingStream('s')]
    },
    gives: [null, true, null, 'DONE'],
  },
  'a finished stream is null, for all who resume': {
    async run({ ctx }) {
      await textOf(await ctx.createNewResumableStream('s', ready(['x'])))
      const source = new HandSource()
      return [
        await ctx.resumableStream('s', source.make),
        await ctx.resumeExistingStream('s'),
        await ctx.resumeExistingStream('s', 1),
        source.calls,
      ]
    },
    gives: [null, null, null, 0],
  },
  'a stream that never was is undefined': {
    run: async ({ ctx }) => [
      await ctx.resumeExistingStream('never'),
      await ctx.resumeExistingStream('never', 5),
    ],
    gives: [undefined, undefined],
  },
  'createNewResumableStream ignores skipCharacters, and so does a resumableStream that creates': {
    run: async ({ ctx }) => [
      await textOf(await ctx.createNewResumableStream('s', ready(['text']), 2)),
      await textOf(await ctx.resumableStream('t', ready(['text']), 2)),
    ],
    gives: ['text', 'text'],
  },
  'createNewResumableStream begins again on a finished stream': {
    async run({ open }) {
      /** @type {Promise<unknown>[]} */
      const ends = []
      const ctx = open({ waitUntil: (promise) => ends.push(promise) })
      await textOf(await ctx.createNewResumableStream('s', ready(['old'])))
      await Promise.all(ends)
      const source = new HandSource()
      const stream = await ctx.createNewResumableStream('s', source.make)
      const state = await ctx.hasExistingStream('s')
      const resumed = await ctx.resumeExistingStream('s')
      source.write('new').close()
      return [state, await textOf(stream), await textOf(resumed)]
    },
    gives: [true, 'new', 'new'],
  },
  'skipCharacters counts UTF-16 units, over chunks': {
    async run({ ctx }) {
      const source = new HandSource()
      const creator = new TextReader(await ctx.resumableStream('s', source.make))
      const text = 'a🦀b é日本'
      source.write('a🦀', 'b é', '日本')
      await creator.has(text.length)
      const resumed = []
      for (const skip of [undefined, 0, 1, 2, 3, 4, 7, text.length, Number.NaN, 1.9]) {
        const stream = await ctx.resumableStream('s', source.make, skip)
        resumed.push(stream)
      }
      // One is ahead of what was written: units of what follows are not skipped.
      source.close()
      const texts = []
      for (const stream of resumed) texts.push(encoded(await textOf(stream)))
      return texts
    },
    gives: [
      'a🦀b é日本',
      'a🦀b é日本',
      '🦀b é日本',
      '\uFFFDb é日本',
      'b é日本',
      ' é日本',
      '本',
      '',
      'a🦀b é日本',
      '🦀b é日本',
    ],
  },
  'what follows skipCharacters is not lost': {
    async run({ ctx }) {
      const source = new HandSource()
      const creator = new TextReader(await ctx.resumableStream('s', source.make))
      source.write('1234')
      await creator.has(4)
      const resumed = await ctx.resumeExistingStream('s', 4)
      source.write('56').close()
      return textOf(resumed)
    },
    gives: '56',
  },
  'attaching works before there is a chunk': {
    async run({ ctx }) {
      const source = new HandSource()
      const creator = await ctx.createNewResumableStream('s', source.make)
      const resumed = await ctx.resumeExistingStream('s')
      source.write('late').close()
      return [await textOf(creator), await textOf(resumed)]
    },
    gives: ['late', 'late'],
  },
  'an empty stream': {
    async run({ ctx }) {
      const texts = [await textOf(await ctx.resumableStream('s', ready([])))]
      return [...texts, await ctx.resumableStream('s', ready(['x']))]
    },
    gives: ['', null],
  },
  'streams do not mix, nor do prefixes': {
    async run({ ctx, open }) {
      const other = open({ keyPrefix: `other-${Math.random()}` })
      const sources = [new HandSource(), new HandSource(), new HandSource()]
      const streams = [
        await ctx.resumableStream('one', sources[0]?.make ?? assert.fail()),
        await ctx.resumableStream('two', sources[1]?.make ?? assert.fail()),
        await other.resumableStream('one', sources[2]?.make ?? assert.fail()),
        await ctx.resumeExistingStream('one'),
        await ctx.resumeExistingStream('two'),
        await other.resumeExistingStream('one'),
        await other.resumeExistingStream('two'),
      ]
      for (const [index, source] of sources.entries()) source.write(`text ${index}`).close()
      const texts = []
      for (const stream of streams) texts.push(stream && (await textOf(stream)))
      return texts
    },
    gives: ['text 0', 'text 1', 'text 2', 'text 0', 'text 1', 'text 2', undefined],
  },
  'waitUntil gets a promise, once for each stream that is created': {
    async run({ open }) {
      /** @type {{ id: string, isSettled: boolean }[]} */
      const promises = []
      let id = 'created'
      const ctx = open({
        waitUntil: (promise) => {
          const entry = { id, isSettled: false }
          promises.push(entry)
          promise.then(() => {
            entry.isSettled = true
          })
        },
      })
      const source = new HandSource()
      const stream = await ctx.createNewResumableStream('s', source.make)
      id = 'resumed'
      const resumed = [await ctx.resumeExistingStream('s'), await ctx.resumableStream('s', source.make)]
      const before = promises.map((entry) => entry.isSettled)
      source.write('x').close()
      for (const each of [stream, ...resumed]) await textOf(each)
      await until(() => promises.every((entry) => entry.isSettled), { message: 'the promise settles' })
      return [promises.map((entry) => entry.id), before, await ctx.hasExistingStream('s')]
    },
    gives: [['created'], [false], 'DONE'],
  },
  'the source is drained, whoever reads': {
    async run({ open }) {
      let done = Promise.resolve(/** @type {unknown} */ (undefined))
      const ctx = open({
        waitUntil: (promise) => {
          done = promise
        },
      })
      const source = new HandSource()
      const stream = await ctx.createNewResumableStream('s', source.make)
      const resumed = new TextReader(await ctx.resumeExistingStream('s'))
      source.write('1')
      await resumed.has(1)
      // The local client leaves, and then the other one.
      await stream?.cancel()
      source.write('2')
      const second = await resumed.has(1)
      await resumed.cancel()
      const last = await ctx.resumeExistingStream('s')
      source.write('3').close()
      await deadline(done, 20_000, 'the source is drained')
      return [second, await textOf(last), source.isCancelled]
    },
    gives: ['2', '123', false],
  },
  'a makeStream that throws': {
    async run({ ctx }) {
      const make = () => {
        throw new Error('no model')
      }
      return [
        await messageOf(ctx.createNewResumableStream('s', make)),
        await messageOf(ctx.resumableStream('t', make)),
      ]
    },
    gives: ['no model', 'no model'],
  },
  'the methods need no this': {
    async run({ ctx }) {
      const { createNewResumableStream, hasExistingStream } = ctx
      return [await textOf(await createNewResumableStream('s', ready(['x']))), await hasExistingStream('s')]
    },
    gives: ['x', 'DONE'],
  },
  'ids and prefixes of all sorts': {
    async run({ open }) {
      const texts = []
      for (const id of ['', ' ', 'a:b', '{x}', 'ü/🦀\n', 'x'.repeat(300)]) {
        const ctx = open({ keyPrefix: `{p} ${Math.random()}` })
        const source = new HandSource()
        const stream = await ctx.createNewResumableStream(id, source.make)
        const resumed = await ctx.resumeExistingStream(id)
        source.write(id).close()
        texts.push((await textOf(stream)) === id && (await textOf(resumed)) === id)
      }
      return texts
    },
    gives: [true, true, true, true, true, true],
  },
  'a character that is cut in two by the chunks': {
    async run({ ctx }) {
      const source = new HandSource()
      const creator = await ctx.createNewResumableStream('s', source.make)
      const reader = new TextReader(creator)
      source.write('a\uD83E', '\uDD80b')
      const text = await reader.has(4)
      const resumed = await ctx.resumeExistingStream('s')
      source.close()
      return [encoded(text), await textOf(resumed)]
    },
    gives: ['a🦀b', 'a🦀b'],
  },
  'resumeStream, by itself': {
    // The original's needs an adapter around a raw ioredis client here.
    async run({ ctx, resumeStream, wire }) {
      const keyPrefix = `${context(ctx).keyPrefix}:rs`
      const given = { keyPrefix, waitUntil: () => {}, ...wire() }
      const source = new HandSource()
      const creator = await ctx.createNewResumableStream('s', source.make)
      source.write('12')
      const reader = new TextReader(creator)
      await reader.has(2)
      const resumed = await resumeStream(given, 's', 1)
      source.write('3').close()
      return [await textOf(resumed), await reader.rest()]
    },
    gives: ['23', '3'],
  },
  'resumeStream, of a stream that never was': {
    async run({ resumeStream, wire }) {
      const keyPrefix = `test-${Math.random()}:rs`
      const resuming = resumeStream({ keyPrefix, waitUntil: () => {}, ...wire() }, 'never')
      return deadline(messageOf(resuming), 3_000, 'it settles')
    },
    gives: 'Timeout waiting for ack',
    // When its timer is punctual to the millisecond.
    originalMay: 'not within 3000 ms: it settles',
  },
}

/** What a context was made with, for the scenarios that need to know. @type {WeakMap<object, { keyPrefix: string }>} */
const made = new WeakMap()
/** @param {object} ctx */
const context = (ctx) => made.get(ctx) ?? assert.fail('not a context of this test')

/**
 * A package's side: contexts with a prefix of their own.
 * @param {{ createResumableStreamContext: any, resumeStream: any }} module
 * @param {() => Partial<Options>} [clients] passed to every context
 * @param {() => object} [wire] the clients for `resumeStream`, if not those
 * @returns {Side}
 */
function side(module, clients = () => ({}), wire = clients) {
  return {
    open: (options) => {
      const keyPrefix = options?.keyPrefix ?? `test-${Math.random()}`
      const ctx = module.createResumableStreamContext({
        waitUntil: null,
        ...clients(),
        ...options,
        keyPrefix,
      })
      made.set(ctx, { keyPrefix })
      return ctx
    },
    resumeStream: module.resumeStream,
    wire,
  }
}

const local = new LocalPubSub()
const here = () => ({ publisher: local, subscriber: local })

/**
 * One test for each scenario, on all sides at once.
 * @param {Record<string, Side>} sides
 * @param {(name: string, row: string[]) => void} note
 */
function compare(sides, note) {
  for (const [name, { run, gives, originalMay }] of Object.entries(scenarios)) {
    test(name, async () => {
      const results = await Promise.all(
        Object.values(sides).map((each) =>
          deadline(run({ ...each, ctx: each.open() }), 10_000, 'the scenario').catch(
            (error) => error.message,
          ),
        ),
      )
      note(
        name,
        results.map((result) => inspect(result, { breakLength: Number.POSITIVE_INFINITY })),
      )
      for (const [index, label] of Object.keys(sides).entries()) {
        if (label.startsWith('resumable-stream') && results[index] === originalMay) continue
        assert.deepEqual(results[index], gives, label)
      }
    })
  }
}

describe('resumable-stream side by side [redis]', () => {
  const store = new TestStore('redis')
  const clients = new RedisClients()
  /** @type {[name: string, row: string[]][]} */
  const table = []

  before(async () => {
    await store.start()
    process.env.REDIS_URL = store.url
    await clients.open(store.adminUrl)
  })
  after(async () => {
    delete process.env.REDIS_URL
    clients.close()
    console.log('scenario: what the original gives | what tidemark gives')
    for (const [name, [theirs, ours]] of table) console.log(`${name}:\n    ${theirs}\n  | ${ours}`)
  })

  compare(
    {
      'resumable-stream': side(original, () => clients.pair('redis-6')),
      tidemark: side(drop, undefined, () => clients.pair('redis-6')),
      'resumable-stream/ioredis': side(
        originalIoredis,
        () => clients.pair('ioredis-6'),
        () => clients.pair('redis-6'),
      ),
      ...Object.fromEntries(
        CLIENT_KINDS.map((kind) => [`tidemark, ${kind}`, side(drop, () => clients.pair(kind))]),
      ),
      'tidemark/resumable-stream/generic': side(dropGeneric, () => clients.pair('redis-6')),
      'tidemark/resumable-stream/generic, ioredis': side(dropGeneric, () => clients.pair('ioredis-5')),
    },
    (name, row) => table.push([name, row]),
  )
})

describe('resumable-stream side by side [memory]', () => {
  before(() => {
    process.env.REDIS_URL = `memory:${Math.random()}`
  })
  after(() => {
    delete process.env.REDIS_URL
  })
  compare(
    {
      'resumable-stream/generic': side(originalGeneric, here),
      'tidemark, memory': side(drop),
      'tidemark, an engine': side(drop, () => ({ engine })),
      'tidemark, a publisher of the user': side(drop, here),
      'tidemark/resumable-stream/generic': side(dropGeneric, here),
    },
    () => {},
  )
  const engine = createEngine({ url: `memory:${Math.random()}` })
  after(() => engine.close())
})
