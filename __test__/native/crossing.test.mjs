// Writes cross to the native side once a turn; those that nobody reads gather over many turns. The native side is played here.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { Writes } from '../../dist/native/writes.js'
import { until } from '../support/wait.mjs'

const WAIT_MS = 64
/** A timer may be early by a little more than the millisecond that it counts in. */
const EARLY_MS = 15

function scene() {
  /** @type {{ at: number, chunks: string[] }[]} */
  const crossings = []
  /** The handles of producers that nobody reads. @type {Set<number>} */
  const unread = new Set()
  let holds = 0
  const native = /** @type {import('../../dist/native/native.js').Native} */ ({
    write(_engine, words, count, arena) {
      const chunks = []
      for (let chunk = 0, at = 0; chunk < count; chunk++) {
        const handle = /** @type {number} */ (words[2 * chunk])
        const length = /** @type {number} */ (words[2 * chunk + 1]) >>> 2
        chunks.push(`${handle}:${Buffer.from(arena.subarray(at, at + length))}`)
        at += length
        words[2 * chunk] = 7
        words[2 * chunk + 1] = Number(unread.has(handle))
      }
      crossings.push({ at: performance.now(), chunks })
    },
  })
  const keepAlive = /** @type {import('../../dist/native/keep-alive.js').KeepAlive} */ ({
    hold: () => void holds++,
    release: () => void holds--,
  })
  const writes = new Writes(native, 1, keepAlive)
  /** @param {number} handle */
  const queue = (handle) => ({ handle, depth: 0, gathered: 0, mayWait: false, lost: assert.ifError })
  /** Of a producer that nobody reads, some of whose chunks have just crossed. @param {number} handle */
  const waiting = (handle) => {
    unread.add(handle)
    const one = queue(handle)
    for (const text of ['first', 'lone']) {
      writes.text(one, text, false)
      writes.cross()
    }
    crossings.length = 0
    return one
  }
  return {
    writes,
    native,
    unread,
    queue,
    waiting,
    crossings,
    chunks: () => crossings.flatMap(({ chunks }) => chunks),
    holds: () => holds,
  }
}

test('the chunks of a turn cross at its end, in pieces', async () => {
  const { writes, queue, crossings, chunks } = scene()
  const [one, other] = [queue(1), queue(2)]
  for (let n = 0; n < 20; n++) writes.text(n % 2 === 0 ? one : other, `${n}`, false)
  await turn()
  assert.deepEqual(
    crossings.map(({ chunks }) => chunks.length),
    [16, 4],
  )
  assert.deepEqual(
    chunks(),
    Array.from({ length: 20 }, (_, n) => `${1 + (n % 2)}:${n}`),
  )
  assert.deepEqual([one.depth, one.gathered, one.mayWait], [7, 0, false])
})

test('G1 what nobody reads gathers over many turns, and crosses each once and in order', async () => {
  const { writes, queue, unread, crossings, chunks } = scene()
  unread.add(1)
  const one = queue(1)
  const wanted = Array.from({ length: 60 }, (_, n) => `1:${n}`)
  for (let n = 0; n < wanted.length; n++) {
    writes.text(one, `${n}`, false)
    await sleep(2)
  }
  await until(() => chunks().length === wanted.length)
  assert.deepEqual(chunks(), wanted)
  // The first two by themselves: nothing is known yet, and after a pause.
  for (let n = 2; n < crossings.length; n++) {
    const pause = /** @type {number} */ (crossings[n]?.at) - /** @type {number} */ (crossings[n - 1]?.at)
    assert.ok(pause >= WAIT_MS - EARLY_MS, `${pause} ms between two crossings`)
  }
})

test('a chunk after a pause crosses with its turn, and so does what is awaited, after all before it', async () => {
  const { writes, waiting, chunks } = scene()
  const one = waiting(1)
  writes.text(one, 'waits', false)
  writes.text(one, 'is awaited', true)
  writes.text(one, 'goes along', false)
  await turn()
  assert.deepEqual(chunks(), ['1:waits', '1:is awaited', '1:goes along'])
  await sleep(2 * WAIT_MS)
  writes.text(one, 'after a pause', false)
  await turn()
  assert.equal(chunks().at(-1), '1:after a pause')
})

test('what waits does not cross with what is read, but before what has to come after it', () => {
  const { writes, queue, waiting, chunks } = scene()
  const [unread, read] = [waiting(1), queue(2)]
  writes.text(unread, 'waits', false)
  writes.text(read, 'is read', false)
  writes.crossTurn()
  assert.deepEqual(chunks(), ['2:is read'])
  assert.ok(unread.gathered > 0, 'it counts where the queue is bounded')
  writes.cross()
  assert.deepEqual(chunks(), ['2:is read', '1:waits'])
  assert.equal(unread.gathered, 0)
})

test('once it is read, nothing waits any more', async () => {
  const { writes, waiting, unread, chunks } = scene()
  const one = waiting(1)
  writes.text(one, 'waits', false)
  unread.delete(1)
  await until(() => chunks().length === 1)
  for (const text of ['a', 'b', 'c']) {
    writes.text(one, text, false)
    await turn()
    assert.equal(chunks().at(-1), `1:${text}`)
  }
})

test('whoever is told that chunks did not cross may write to others', async () => {
  const { writes, queue, native, chunks } = scene()
  const [lost, other] = [queue(1), queue(2)]
  const { write } = native
  native.write = () => {
    native.write = write
    throw new Error('{"code":"ERR_INTERNAL","message":"broken"}')
  }
  lost.lost = () => writes.text(other, 'goodbye', false)
  writes.text(lost, 'is lost', false)
  writes.cross()
  await turn()
  assert.deepEqual(chunks(), ['2:goodbye'])
})

test('G1 whatever crosses in the middle of a turn, and changes who may wait, the order stays', async () => {
  const { writes, queue, unread, chunks } = scene()
  const queues = [1, 2, 3].map(queue)
  /** @type {string[]} */
  const wanted = []
  for (let n = 0; n < 5_000; n++) {
    // Now and then somebody reads, or nobody does any more.
    const one = queues[n % 3]
    if (n % 7 === 0) unread.add(1 + (n % 3))
    else if (n % 11 === 0) unread.delete(1 + (n % 3))
    writes.text(/** @type {NonNullable<typeof one>} */ (one), `${n}${'x'.repeat(n % 500)}`, n % 97 === 0)
    wanted.push(`${one?.handle}:${n}`)
    if (n % 300 === 0) await turn()
    if (n % 400 === 0) writes.crossTurn()
  }
  writes.cross()
  for (const { handle } of queues) {
    const of = (/** @type {string[]} */ all) => all.filter((chunk) => chunk.startsWith(`${handle}:`))
    assert.deepEqual(
      of(chunks()).map((chunk) => chunk.replace(/x+$/, '')),
      of(wanted),
    )
  }
})

test('much crosses at once, whoever reads it, and never before what came first', () => {
  const { writes, waiting, crossings, chunks } = scene()
  const one = waiting(1)
  for (let n = 0; n < 513; n++) writes.text(one, '', false)
  assert.equal(crossings.at(-1)?.chunks.length, 512)
  writes.bytes(one, new Uint8Array(40_000), false)
  assert.equal(crossings.length, 1)
  writes.bytes(one, new Uint8Array(40_000), false)
  assert.equal(crossings.length, 2)
  writes.text(one, 'x'.repeat(70_000), false)
  assert.deepEqual(
    chunks()
      .slice(-3)
      .map(({ length }) => length),
    [40_002, 40_002, 70_002],
  )
})

test('the process stays until all that waits has crossed and is settled', () => {
  const { writes, waiting, holds } = scene()
  const one = waiting(1)
  writes.idle()
  assert.equal(holds(), 0)
  writes.text(one, 'waits', false)
  writes.idle()
  assert.equal(holds(), 1, 'the native side does not know of it')
  writes.cross()
  writes.idle()
  assert.equal(holds(), 0)
  writes.text(one, 'is forgotten', false)
  writes.close()
  assert.equal(holds(), 0)
})
