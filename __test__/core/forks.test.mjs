// Forks of logs: they begin with a copy of another one, as a whole or not at all, and keep its name (`log.createFrom`).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/** @param {import('tidemark').LogPage} page */
const texts = ({ chunks }) => chunks.map((chunk) => chunk.text())

/** All of a log, page by page. @param {import('tidemark').Log} log */
async function all(log) {
  const found = []
  for (let from = 'start', isOver = false; !isOver; ) {
    const page = await log.page({ from })
    found.push(...page.chunks)
    from = page.next
    isOver = page.upToDate
  }
  return found
}

eachStore('a fork', (store) => {
  const open = useEngines(store)

  test('G1 begins with what the other one has, under its cursors, and both go their own ways', async () => {
    const engine = open()
    const source = engine.log('source', { contentType: 'text/plain', ttl: '1h' })
    const { cursors } = await source.append(['a', 'b', 'c'])
    const fork = open().log('fork')
    const made = await fork.createFrom('source', { at: cursors[1] })
    assert.equal(made.isNew, true)
    await source.append(['d'])
    await fork.append(['x'])
    assert.deepEqual(texts(await fork.page()), ['a', 'b', 'x'])
    assert.deepEqual(texts(await source.page()), ['a', 'b', 'c', 'd'])
    assert.deepEqual(texts(await fork.page({ from: cursors[0] })), ['b', 'x'])
    const read = []
    await fork.close()
    for await (const chunk of fork.read({ from: cursors[1] })) read.push(chunk.text())
    assert.deepEqual(read, ['x'])
    await assert.rejects(fork.page({ from: cursors[2] }), { code: 'ERR_GAP' })
    const status = await fork.status()
    assert.equal(status?.log?.contentType, 'text/plain')
    assert.equal(status?.log?.ttlMs, 3_600_000)
    assert.equal(status?.log?.fork?.streamId, 'source')
    const page = await fork.page()
    assert.equal('origins' in page, false)
  })

  test('has no writers of the other one, and is made once', async () => {
    const engine = open()
    const producer = { id: 'p', epoch: 0, seq: 0 }
    await engine.log('writers').append(['a'], { producer, order: '5' })
    const forks = await Promise.all([1, 2, 3].map(() => open().log('once').createFrom('writers')))
    assert.equal(forks.filter(({ isNew }) => isNew).length, 1)
    const fork = engine.log('once')
    assert.equal((await fork.append(['b'], { producer, order: '1' })).isDuplicate, false)
    assert.deepEqual(texts(await fork.page()), ['a', 'b'])
    await assert.rejects(fork.createFrom('writers', { at: 'start' }), { code: 'ERR_CONFLICT' })
    await assert.rejects(fork.create(), { code: 'ERR_CONFLICT' }, 'it is another log')
    await assert.rejects(engine.log('x').createFrom('nothing'), { code: 'ERR_NOT_FOUND', streamId: 'x' })
    await assert.rejects(engine.log('x', { contentType: 'text/x' }).createFrom('writers'), {
      code: 'ERR_CONFLICT',
    })
    await assert.rejects(engine.log('x').createFrom('writers', { part: 1 }), { code: 'ERR_CONFLICT' })
    assert.equal(await engine.log('x').status(), null, 'nothing is left of what was refused')
  })

  test('G2 takes sealed, large and cut chunks along', async () => {
    const engine = open()
    const source = engine.log('long', { contentType: 'text/plain' })
    const texted = Array.from({ length: 700 }, (_, index) => `${index} ${'é'.repeat(index % 400)}`)
    for (let at = 0; at < texted.length; at += 7) await source.append(texted.slice(at, at + 7))
    const large = 'ü'.repeat(1 << 20)
    await source.append([large])
    const { cursors } = await source.append(['after'])
    await source.append(['€uro'])
    const fork = open().log('long fork')
    await fork.createFrom('long', { at: cursors[0], part: 1 })
    await source.delete()
    await fork.append(['end'])
    const chunks = await all(fork)
    assert.equal(chunks.length, 704)
    assert.deepEqual(
      chunks.slice(0, 702).map((chunk) => chunk.text()),
      [...texted, large, 'after'],
    )
    assert.deepEqual(chunks[702]?.data, new Uint8Array([0xe2]), 'half a character is bytes')
    assert.equal(chunks[703]?.text(), 'end')
    const cut = open().log('cut')
    await cut.createFrom('long fork', { at: chunks[699]?.cursor, part: (1 << 20) + 2 })
    assert.equal((await all(cut)).at(-1)?.text(), 'ü'.repeat((1 << 19) + 1))
    await assert.rejects(
      open()
        .log('much')
        .createFrom('long fork', { at: chunks[699]?.cursor, part: (2 << 20) + 1 }),
      { code: 'ERR_CONFLICT' },
    )
  })

  test('G1 of a fork of a fork has the cursors of both, and messages are its parts', async () => {
    const engine = open()
    const contentType = 'application/json'
    const one = await engine.log('one', { contentType }).append(['1', '2', '3'])
    await engine.log('two').createFrom('one', { at: one.cursors[0], part: 1 })
    const two = await engine.log('two').append(['4', '5'])
    const three = engine.log('three')
    await three.createFrom('two', { at: two.cursors[0] })
    await three.append(['6'])
    assert.deepEqual(texts(await three.page()), ['1', '2', '4', '6'])
    assert.deepEqual(texts(await three.page({ from: one.cursors[1] })), ['4', '6'])
    assert.deepEqual(texts(await three.page({ from: two.cursors[0] })), ['6'])
    for (const cursor of [one.cursors[2], two.cursors[1]]) {
      await assert.rejects(three.page({ from: cursor }), { code: 'ERR_GAP' })
    }
    // Cursors of the first are of use where the second was forked, too.
    await engine.log('four').createFrom('two', { at: one.cursors[0] })
    assert.deepEqual(texts(await engine.log('four').page()), ['1'])
  })

  test('G1 is followed by who waits for it', async () => {
    const engine = open()
    await engine.log('awaited source').append(['a', 'b'])
    /** @type {string[]} */
    const seen = []
    const reading = (async () => {
      for await (const chunk of open().log('awaited').read()) seen.push(chunk.text())
    })()
    await engine.log('awaited').createFrom('awaited source')
    await until(() => seen.length === 2)
    await engine.log('awaited').append(['c'])
    await engine.log('awaited').close()
    await deadline(reading, 10_000, 'it ends')
    assert.deepEqual(seen, ['a', 'b', 'c'])
  })

  test('keeps the name of the other one, for as long as it or a fork of it lives', async () => {
    const engine = open()
    await engine.log('root').append(['a'])
    await engine.log('middle').createFrom('root')
    await engine.log('leaf').createFrom('middle')
    await engine.log('root').close()
    for (const name of ['root', 'middle']) assert.equal(await engine.log(name).delete(), true)
    for (const name of ['root', 'middle']) {
      await assert.rejects(open().log(name).append(['b']), { code: 'ERR_CONFLICT', streamId: name })
      await assert.rejects(open().log('other').createFrom(name), { code: 'ERR_CONFLICT' })
      await assert.rejects(open().log(name).createFrom('leaf'), { code: 'ERR_CONFLICT' })
    }
    assert.deepEqual(texts(await open().log('leaf').page()), ['a'])
    await engine.log('leaf').delete()
    await engine.log('leaf').append(['of its own'])
    for (const name of ['root', 'middle']) {
      assert.equal((await open().log(name).append(['c'])).isNew, true)
      assert.deepEqual(texts(await open().log(name).page()), ['c'])
    }
  })

  test('is made again with the same times, or none, and with no others', async () => {
    const engine = open()
    await engine.log('timed').append(['a'])
    const again = (/** @type {import('tidemark').OpenLogOptions} */ options) =>
      open().log('timed fork', options).createFrom('timed')
    assert.equal((await again({ ttl: '1h' })).isNew, true)
    assert.equal((await again({ ttl: '1h' })).isNew, false)
    assert.equal((await again({})).isNew, false)
    await assert.rejects(again({ ttl: '2h' }), { code: 'ERR_CONFLICT' })
  })

  test('G9 takes the place of one that is gone where the other one has as many as it can', async () => {
    const engine = open()
    await engine.log('popular').append(['a'])
    const names = Array.from({ length: 1000 }, (_, number) => `fork ${number}`)
    const each = (
      /** @type {string[]} */ some,
      /** @type {(log: import('tidemark').Log) => unknown} */ work,
    ) => Promise.all(some.map((name) => work(engine.log(name))))
    await each(names, (log) => log.createFrom('popular'))
    await assert.rejects(engine.log('late').createFrom('popular'), {
      code: 'ERR_CONFLICT',
      message: /as many forks as it can/,
    })
    await each(names.slice(1), (log) => log.delete())
    assert.equal((await engine.log('late').createFrom('popular')).isNew, true)
    await engine.log('popular').delete()
    await engine.log('late').delete()
    await assert.rejects(open().log('popular').append(['b']), { code: 'ERR_CONFLICT' }, 'the first one lives')
    await engine.log('fork 0').delete()
    assert.equal((await open().log('popular').append(['b'])).isNew, true)
  })

  test('G10 is for the owner of the other one to make', async () => {
    const engine = open()
    await engine.log('own', { owner: 'anna' }).append(['a'])
    for (const owner of [undefined, 'ben']) {
      await assert.rejects(engine.log('taken', { owner }).createFrom('own'), { code: 'ERR_FORBIDDEN' })
    }
    await engine.log('given', { owner: 'ben' }).createFrom('own', { sourceOwner: 'anna' })
    await assert.rejects(engine.log('given', { owner: 'anna' }).page(), { code: 'ERR_FORBIDDEN' })
    await assert.rejects(engine.log('given', { owner: 'anna' }).createFrom('own'), { code: 'ERR_FORBIDDEN' })
    assert.deepEqual(texts(await engine.log('given', { owner: 'ben' }).page()), ['a'])
  })
})
