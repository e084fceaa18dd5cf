// Consumer groups: every chunk is dealt with by one of several workers, at least once, whoever dies meanwhile.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createEngine } from 'tidemark'
import { checkHistory } from '../support/history.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { startRemote } from '../support/remote.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore, sharedRedis } from '../support/stores.mjs'
import { follow, numbered, produceAll, texts, useEngines, writeAll } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const group = 'workers'

/** A worker: takes items until its loop ends. What it has dealt with is there by seq, as often as it was. */
class Worker {
  /** @type {{ seq: number, data: any, cursor: string, deliveries: number }[]} */
  items = []
  /** @type {any} */
  error
  done = false

  /**
   * @param {import('tidemark').Consumption} consumption
   * @param {(item: import('tidemark').GroupItem) => unknown} [each] awaited; false leaves, 'skip' does not acknowledge
   */
  constructor(consumption, each) {
    this.consumption = consumption
    this.finished = this.#work(each)
  }

  /** @param {((item: import('tidemark').GroupItem) => unknown) | undefined} each */
  async #work(each) {
    try {
      for await (const item of this.consumption) {
        const { seq, data, cursor, deliveries } = item
        this.items.push({ seq, data, cursor, deliveries })
        const verdict = await each?.(item)
        if (verdict === false) break
        if (verdict !== 'skip') await item.ack()
      }
    } catch (error) {
      this.error = error
    }
    this.done = true
  }

  /** Waits for the end of the loop. */
  async end(ms = 20_000) {
    await deadline(this.finished, ms, `the worker ends; it has got ${this.items.length} items`)
    return this
  }
}

/** Everything that workers have got, each chunk once, as a reader of the history. @param {Worker[]} workers */
function together(workers) {
  const bySeq = new Map(workers.flatMap(({ items }) => items.map((item) => [item.seq, item])))
  const chunks = [...bySeq.values()].sort((one, other) => one.seq - other.seq)
  return { name: 'the group', chunks, outcome: workers[0]?.consumption.outcome }
}

eachStore('groups', (store) => {
  const open = useEngines(store)

  test('checklist 20: the workers of a group share a live stream, and each chunk goes to one of them', async () => {
    const random = createRandom(8)
    const engines = [open(), open()]
    const chunks = Array.from({ length: 400 }, (_, index) => {
      const text = `${index} ${'é'.repeat(random.int(0, 300))}`
      return random.chance(0.3) ? new Uint8Array(Buffer.from(text)) : text
    })
    const producer = await engines[0]?.produce('shared')
    assert.ok(producer)
    const workers = ['a', 'b', 'c'].map(
      (consumer) =>
        new Worker(
          random.pick(engines).consume('shared', { group, consumer, batch: random.int(1, 20) }),
          () => (random.chance(0.2) ? turn() : undefined),
        ),
    )
    const other = new Worker(random.pick(engines).consume('shared', { group: 'others', consumer: 'a' }))
    for (const chunk of chunks) {
      if (!producer.write(chunk)) await producer.ready
      if (random.chance(0.1)) await turn()
    }
    await producer.complete()
    for (const worker of [...workers, other]) assert.equal((await worker.end()).error, undefined)
    assert.equal(workers.flatMap(({ items }) => items).length, chunks.length, 'each chunk once')
    checkHistory({ written: numbered(chunks), readers: [together(workers), together([other])] })
    for (const { items } of [...workers, other]) {
      assert.deepEqual(
        items.map(({ seq }) => seq),
        items.map(({ seq }) => seq).sort((one, two) => one - two),
      )
    }
  })

  test('checklist 20: a group works through a finished, sealed stream, from where it is told', async () => {
    const [engine, other] = [open(), open()]
    const chunks = texts(2_000).map((text) => text.padEnd(50, 'x'))
    const producer = await produceAll(engine, 'sealed', chunks)
    const all = await new Worker(other.consume('sealed', { group, consumer: 'a', batch: 100 })).end()
    const from = `${producer.generation}.1990`
    const late = await new Worker(engine.consume('sealed', { group: 'late', consumer: 'a', from })).end()
    assert.deepEqual(
      late.items.map(({ seq }) => seq),
      [1991, 1992, 1993, 1994, 1995, 1996, 1997, 1998, 1999, 2000],
    )
    assert.ok(all.items.every(({ deliveries }) => deliveries === 1))
    checkHistory({ written: numbered(chunks), readers: [together([all])] })
    const none = await new Worker(engine.consume('sealed', { group, consumer: 'b' })).end()
    assert.deepEqual([none.items.length, none.consumption.outcome], [0, 'complete'])
  })

  test('checklist 20: sealing takes nothing from groups that lag behind', async () => {
    const random = createRandom(9)
    const [engine, other] = [open(), open()]
    const chunks = Array.from(
      { length: 1_500 },
      (_, index) => `${index} ${'word '.repeat(random.int(1, 40))}`,
    )
    const producer = await engine.produce('lagging')
    const lagging = new Worker(other.consume('lagging', { group, consumer: 'slow', batch: 7 }), () =>
      random.chance(0.05) ? turn() : undefined,
    )
    const reader = follow(other, 'lagging')
    await writeAll(producer, chunks)
    await producer.complete()
    assert.equal((await lagging.end()).error, undefined)
    await reader.end()
    checkHistory({ written: numbered(chunks), readers: [together([lagging]), reader] })
  })

  test('checklist 20: what was not acknowledged comes again, to others after claimIdleMs', async () => {
    const engine = open()
    const producer = await engine.produce('claimed')
    await writeAll(producer, texts(10))
    const lazy = new Worker(engine.consume('claimed', { group, consumer: 'lazy', batch: 4 }), () => 'skip')
    await until(() => lazy.items.length === 10)
    const options = { group, consumer: 'busy', claimIdleMs: 100 }
    const busy = new Worker(open().consume('claimed', options))
    await producer.complete()
    await busy.end()
    await lazy.end()
    assert.deepEqual(
      busy.items.map(({ deliveries }) => deliveries),
      Array(10).fill(2),
    )
    checkHistory({ written: numbered(texts(10)), readers: [together([busy]), together([lazy])] })
  })

  test('checklist 20: a worker that comes back under its name gets its own items first', async () => {
    const engine = open()
    await produceAll(engine, 'back', texts(30))
    const first = new Worker(engine.consume('back', { group, consumer: 'a', batch: 8 }), ({ seq }) =>
      seq === 12 ? new Promise(() => {}) : 'skip',
    )
    await until(() => first.items.length === 12)
    const second = await new Worker(open().consume('back', { group, consumer: 'a', batch: 5 })).end()
    assert.deepEqual(
      second.items.map(({ seq, deliveries }) => [seq, deliveries]),
      Array.from({ length: 30 }, (_, index) => [index + 1, index < 16 ? 2 : 1]),
    )
    checkHistory({ written: numbered(texts(30)), readers: [together([second])] })
  })

  test('checklist 20: what a loop did not get to is given back when it is left', async () => {
    const [engine, other] = [open(), open()]
    await produceAll(engine, 'left', texts(40))
    const ways = [
      new Worker(engine.consume('left', { group, consumer: 'breaks' }), ({ seq }) => seq % 16 !== 3),
      new Worker(engine.consume('left', { group, consumer: 'throws' }), ({ seq }) => {
        if (seq % 16 === 2) throw new Error('a bug')
      }),
    ]
    for (const worker of ways) await worker.end()
    assert.equal(ways[1]?.error.message, 'a bug')
    const controller = new AbortController()
    const aborted = new Worker(
      engine.consume('left', { group, consumer: 'aborted', signal: controller.signal }),
      () => controller.abort(new Error('enough')),
    )
    await aborted.end()
    assert.equal(aborted.error.message, 'enough')
    const rest = await new Worker(other.consume('left', { group, consumer: 'rest', claimIdleMs: 200 })).end()
    assert.equal(rest.error, undefined)
    const again = rest.items.filter(({ deliveries }) => deliveries > 1).map(({ seq }) => seq)
    assert.equal(again.length, 2, `those at which a loop was left come again: ${again}`)
    checkHistory({ written: numbered(texts(40)), readers: [together([rest, ...ways, aborted])] })
  })

  test('checklist 20: poison goes to the dead letters, from where it is retried or dropped', async () => {
    const [engine, other] = [open(), open()]
    const producer = await engine.produce('poison')
    await writeAll(producer, [...texts(5), new Uint8Array([0, 128, 255])])
    const options = { group, consumer: 'a', claimIdleMs: 20, maxDeliveries: 3, batch: 2 }
    const worker = new Worker(engine.consume('poison', options), ({ seq }) =>
      seq === 2 || seq === 6 ? 'skip' : undefined,
    )
    const dead = async () => {
      const found = []
      for await (const letter of other.deadLetters({ streamId: 'poison', group })) found.push(letter)
      return found
    }
    await until(async () => (await dead()).length === 2, { message: 'two dead letters' })
    const [text, bytes] = await dead()
    assert.deepEqual([text?.seq, text?.data, text?.deliveries], [2, 'chunk 2 ', 3])
    assert.equal(text?.cursor, `${producer.generation}.2`)
    assert.deepEqual(bytes?.data, new Uint8Array([0, 128, 255]))
    assert.equal(worker.items.filter(({ seq }) => seq === 2).length, 3)
    await producer.complete()
    await worker.end()
    assert.equal(worker.consumption.outcome, 'complete')

    await bytes?.drop()
    await text?.retry()
    assert.deepEqual(await dead(), [])
    const cured = await new Worker(other.consume('poison', { group, consumer: 'b' })).end()
    assert.deepEqual(
      cured.items.map(({ seq, deliveries }) => [seq, deliveries]),
      [[2, 1]],
    )
    const written = numbered([...texts(5), new Uint8Array([0, 128, 255])])
    checkHistory({ written, readers: [together([worker])] })
  })

  test('checklist 20: the end of a group tells how the stream ended', async () => {
    const engine = open()
    const failed = await engine.produce('failed')
    await writeAll(failed, texts(3))
    await failed.fail(new Error('no more words'))
    const worker = await new Worker(engine.consume('failed', { group, consumer: 'a' })).end()
    assert.deepEqual(
      [worker.error.code, worker.error.reason, worker.consumption.outcome],
      ['ERR_FAILED', 'no more words', 'failed'],
    )
    assert.equal(worker.items.length, 3)
    const stopped = await engine.produce('stopped')
    await writeAll(stopped, texts(3))
    await engine.stop('stopped', 'enough')
    await stopped.complete()
    const quiet = await new Worker(engine.consume('stopped', { group, consumer: 'a' })).end()
    assert.deepEqual(
      [quiet.error, quiet.consumption.outcome, quiet.consumption.reason],
      [undefined, 'stopped', 'enough'],
    )
    const nothing = new Worker(engine.consume('nowhere', { group, consumer: 'a', wait: 50 }))
    assert.equal((await nothing.end()).error.code, 'ERR_NOT_FOUND')
    checkHistory({ written: numbered(texts(3)), readers: [together([quiet])] })
  })

  test('checklist 20: a group waits for its stream, goes on into the next generation, and tells what it lost', async () => {
    const engine = open()
    const early = new Worker(engine.consume('next', { group, consumer: 'a' }), ({ seq }) => seq < 6)
    await produceAll(engine, 'next', texts(4, 'first'))
    await early.end()
    assert.equal(early.consumption.outcome, 'complete')
    await produceAll(engine, 'next', texts(4, 'second'))
    const second = await new Worker(engine.consume('next', { group, consumer: 'a' })).end()
    assert.deepEqual(
      second.items.map(({ seq }) => seq),
      [5, 6, 7, 8],
    )
    for (const label of ['third', 'fourth', 'fifth']) await produceAll(engine, 'next', texts(1, label))
    const lost = await new Worker(engine.consume('next', { group, consumer: 'a' })).end()
    assert.equal(lost.error.code, 'ERR_GAP')
    const rest = await new Worker(engine.consume('next', { group, consumer: 'a' })).end()
    assert.deepEqual(
      rest.items.map(({ seq }) => seq),
      [10, 11],
    )
    checkHistory({ written: numbered(texts(4, 'first')), readers: [together([early])] })
  })

  test('G1: a group is told of a loss once, however many items are lost', async () => {
    const engine = open()
    const held = engine.consume('many', { group, consumer: 'gone', batch: 100 })
    await produceAll(engine, 'many', texts(1_200, 'first'))
    for (let count = 0; count < 1_101; count++) await held.next()
    // A chunk of the second generation was taken, so the group has a place there when the first one goes.
    await produceAll(engine, 'many', texts(2, 'second'))
    const early = new Worker(engine.consume('many', { group, consumer: 'a' }), async (item) => {
      await item.ack()
      return false
    })
    assert.equal((await early.end()).items[0]?.seq, 1_201)
    await produceAll(engine, 'many', texts(1, 'third'))
    const lost = await new Worker(engine.consume('many', { group, consumer: 'a' })).end()
    assert.deepEqual([lost.items.length, lost.error?.code], [0, 'ERR_GAP'])
    const rest = await new Worker(engine.consume('many', { group, consumer: 'a' })).end()
    assert.deepEqual([rest.error, rest.items.map(({ seq }) => seq)], [undefined, [1_202, 1_203]])
    await held.return?.()
  })

  test('G1: a group that is to begin beyond the end of a log is told so, and goes on where the log ends', async () => {
    const engine = open()
    const log = engine.log('short')
    const { next } = await log.append(texts(3))
    const from = next.replace(/3$/, '5')
    const lost = await new Worker(engine.consume('short', { group, consumer: 'a', from })).end()
    assert.deepEqual([lost.items.length, lost.error?.code, lost.error?.resume], [0, 'ERR_GAP', next])
    await log.append(texts(3, 'more'), { close: true })
    const rest = await new Worker(engine.consume('short', { group, consumer: 'a', from })).end()
    assert.deepEqual([rest.error, rest.items.map(({ seq }) => seq)], [undefined, [4, 5, 6]])
    const end = await new Worker(
      open().consume('short', { group: 'end', consumer: 'a', from: `${from.slice(0, -1)}6` }),
    ).end()
    assert.deepEqual([end.error, end.items], [undefined, []])
  })

  test('G10 only the owner joins a group, acknowledges and sees dead letters', async () => {
    const engine = open()
    await produceAll(engine, 'owned', texts(3), { owner: 'alice' })
    for (const owner of [undefined, 'bob']) {
      const stranger = new Worker(engine.consume('owned', { group, consumer: 'a', owner }))
      assert.equal((await stranger.end()).error.code, 'ERR_FORBIDDEN')
      const letters = engine.deadLetters({ streamId: 'owned', group, owner })
      await assert.rejects(letters.next(), { code: 'ERR_FORBIDDEN' })
    }
    const own = await new Worker(engine.consume('owned', { group, consumer: 'a', owner: 'alice' })).end()
    assert.equal(own.items.length, 3)
    checkHistory({ written: numbered(texts(3)), readers: [together([own])] })
  })

  test('groups end with their engine, and those who wait are told', async () => {
    const engine = open()
    await open().produce('closing')
    const waiting = new Worker(engine.consume('closing', { group, consumer: 'a' }))
    // It has joined, and waits for a chunk.
    await until(async () => (await engine.status('closing')) !== null)
    await engine.close()
    assert.equal((await waiting.end()).error.code, 'ERR_CLOSED')
    const late = new Worker(engine.consume('closing', { group, consumer: 'a' }))
    assert.equal((await late.end()).error.code, 'ERR_CLOSED')
  })
})

describe('groups on Redis', () => {
  test('checklist 20: the items of a consumer that is killed go to others, and nothing is lost', async (t) => {
    const redis = await sharedRedis()
    const options = { url: redis.url, keyPrefix: 'test-killed' }
    const engine = createEngine(options)
    t.after(() => engine.close())
    const producer = await engine.produce('chat')
    const chunks = texts(300)
    const victims = await Promise.all([startRemote(t, options), startRemote(t, options)])
    for (const [index, victim] of victims.entries()) {
      victim.child.send({
        type: 'consume',
        streamId: 'chat',
        options: { group, consumer: `victim ${index}` },
      })
    }
    const writing = (async () => {
      for (const chunk of chunks) {
        producer.write(chunk)
        if (chunk.includes('5')) await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })()
    /** @type {{ seq: number, data: string }[]} */
    const dealtWith = []
    for (const victim of victims) {
      const { items } = await victim.child.next('holding', 20_000)
      dealtWith.push(...items)
      await victim.kill()
    }
    const heirs = ['a', 'b'].map(
      (consumer) => new Worker(engine.consume('chat', { group, consumer, claimIdleMs: 300 })),
    )
    await writing
    await producer.complete()
    for (const heir of heirs) assert.equal((await heir.end()).error, undefined)
    const again = heirs.flatMap(({ items }) => items).filter(({ deliveries }) => deliveries > 1)
    assert.ok(again.length > 0, 'the victims held something')
    const bySeq = new Map(
      [...dealtWith, ...heirs.flatMap(({ items }) => items)].map((item) => [item.seq, item]),
    )
    const all = [...bySeq.values()].sort((one, other) => one.seq - other.seq)
    checkHistory({
      written: numbered(chunks),
      readers: [{ name: 'the group', chunks: all, outcome: 'complete' }],
    })
  })

  test('checklist 20: a group goes on through restarts of Redis', async () => {
    const redis = await startRedis({ aof: true })
    const engine = createEngine({ url: redis.url })
    const producer = await engine.produce('chat')
    const chunks = texts(200)
    const worker = new Worker(engine.consume('chat', { group, consumer: 'a', batch: 3, claimIdleMs: 500 }))
    for (const [index, chunk] of chunks.entries()) {
      producer.write(chunk)
      if (index % 20 === 19) await producer.flush()
      if (index === 79 || index === 139) await redis.restart('SIGTERM')
    }
    await producer.complete()
    assert.equal((await worker.end()).error?.code, undefined)
    checkHistory({ written: numbered(chunks), readers: [together([worker])] })
    await engine.close()
    await redis.close()
  })

  test('G9 items that are acknowledged in one turn go together, a hundred to a command', async () => {
    const redis = await startRedis()
    const engine = createEngine({ url: redis.url })
    await produceAll(engine, 'many', texts(500))
    const scripts = async () => {
      const stats = await redis.admin.info('commandstats')
      return Number(/calls=(\d+)/.exec(stats.cmdstat_evalsha ?? '')?.[1])
    }
    /** @type {import('tidemark').GroupItem[]} */
    const items = []
    for await (const item of engine.consume('many', { group, consumer: 'a', batch: 100 })) {
      if (items.push(item) < 500) continue
      const before = await scripts()
      await Promise.all(items.map((each) => each.ack()))
      assert.equal((await scripts()) - before, 5)
    }
    assert.equal(items.length, 500)
    assert.equal(await redis.admin.cmd('XLEN', `{tidemark:many}:work:${group}`), 0)
    await engine.close()
    await redis.close()
  })

  test('every key of a group has a TTL, and goes with its stream', async () => {
    const redis = await startRedis()
    const engine = createEngine({ url: redis.url })
    const producer = await engine.produce('chat')
    await writeAll(producer, texts(20))
    const worker = new Worker(engine.consume('chat', { group, consumer: 'a', batch: 2 }), ({ seq }) =>
      seq === 5 ? new Promise(() => {}) : undefined,
    )
    await until(() => worker.items.length === 5)
    const { admin } = redis
    const keys = async () => (await admin.cmd('SCAN', '0', 'COUNT', 1000))[1]
    for (let phase = 0; phase < 2; phase++) {
      const names = await keys()
      assert.ok(names.includes(`{tidemark:chat}:work:${group}`), `${names}`)
      for (const key of names) assert.ok((await admin.cmd('PTTL', key)) > 0, `${key} has a TTL`)
      // What is done takes no room.
      assert.ok((await admin.cmd('XLEN', `{tidemark:chat}:work:${group}`)) <= 4)
      await producer.complete()
    }
    await engine.delete('chat')
    assert.deepEqual(
      (await keys()).filter((/** @type {string} */ key) => key.includes('chat')),
      [],
    )
    await engine.close()
    await redis.close()
  })
})
