// What a subscription owes as an async iterator, and to the process that waits on it.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createEngine, FailedError, InterruptedError } from '../../dist/index.js'

const engine = createEngine({ url: `memory:${randomUUID()}`, maxQueueBytes: 64 << 20 })
after(() => engine.close())

const END = { done: true, value: undefined }

async function stream() {
  const id = randomUUID()
  return { id, producer: await engine.produce(id) }
}

describe('the protocol', () => {
  test('G1 chunks that have gathered come as they were, whatever their lengths', async () => {
    const { id, producer } = await stream()
    const lengths = [...Array(40).keys(), ...Array.from({ length: 9 }, (_, n) => 508 + n), 1023, 1025, 5000]
    const written = [...lengths, ...lengths.toReversed(), ...lengths].map((length, n) =>
      // A character of two units lies across every place at which a text could be cut.
      (n % 3 === 0 ? '🙂'.repeat(length) : `${n} `.padEnd(length, 'é')).slice(0, 2 * Math.floor(length / 2)),
    )
    for (const chunk of written) await producer.append(chunk)
    await producer.complete()
    const read = []
    for await (const { data } of engine.subscribe(id)) read.push(data)
    assert.deepEqual(read, written)
  })

  test('yields every chunk once, then tells how it ended', async () => {
    const { id, producer } = await stream()
    const subscription = engine.subscribe(id)
    assert.equal(subscription.streamId, id)
    assert.equal(subscription[Symbol.asyncIterator](), subscription)
    assert.deepEqual(
      [subscription.cursor, subscription.outcome, subscription.reason],
      [undefined, undefined, undefined],
    )
    producer.write('a')
    producer.write(new Uint8Array([0, 255]))
    producer.write('')
    const ended = producer.complete()
    const seen = []
    for await (const chunk of subscription) {
      assert.equal(subscription.cursor, chunk.cursor)
      seen.push([chunk.seq, chunk.cursor, chunk.data])
    }
    assert.deepEqual(seen, [
      [1, `${producer.generation}.1`, 'a'],
      [2, `${producer.generation}.2`, new Uint8Array([0, 255])],
      [3, `${producer.generation}.3`, ''],
    ])
    assert.equal(await ended, 'complete')
    assert.equal(subscription.outcome, 'complete')
    assert.deepEqual(await subscription.next(), END)
    assert.deepEqual(await subscription.return(), END)
    assert.equal(subscription.outcome, 'complete', 'return() after the end forgets nothing')
  })

  test('answers concurrent next() calls in order, and those past the end with done', async () => {
    const { id, producer } = await stream()
    const subscription = engine.subscribe(id)
    const pending = Array.from({ length: 6 }, () => subscription.next())
    for (const word of ['a', 'b', 'c', 'd']) producer.write(word)
    await producer.complete()
    const results = await Promise.all(pending)
    assert.deepEqual(
      results.map(({ value }) => value?.data),
      ['a', 'b', 'c', 'd', undefined, undefined],
    )
    assert.deepEqual(
      results.map(({ done }) => done),
      [false, false, false, false, true, true],
    )
  })

  test('return() settles what is pending and drops what is unread', async () => {
    const { id, producer } = await stream()
    const subscription = engine.subscribe(id)
    const other = engine.subscribe(id)
    producer.write('a')
    assert.equal((await subscription.next()).value?.data, 'a')
    const pending = [subscription.next(), subscription.next()]
    assert.deepEqual(await subscription.return(), END)
    assert.deepEqual(await Promise.all(pending), [END, END])
    producer.write('b')
    await producer.complete()
    assert.deepEqual(await subscription.next(), END)
    assert.equal(subscription.outcome, undefined, 'it left before the end')
    const seen = []
    for await (const { data } of other) seen.push(data)
    assert.deepEqual(seen, ['a', 'b'], 'other readers are not touched')
  })

  test('throw() rejects with the error and ends', async () => {
    const { id, producer } = await stream()
    const subscription = engine.subscribe(id)
    const pending = subscription.next()
    const error = new Error('mine')
    await assert.rejects(subscription.throw(error), error)
    assert.deepEqual(await pending, END)
    assert.deepEqual(await subscription.next(), END)
    await producer.complete()
  })

  test('break leaves the loop and the stream as they are', async () => {
    const { id, producer } = await stream()
    const { signal } = new AbortController()
    const subscription = engine.subscribe(id, { signal })
    for (let i = 0; i < 100; i++) producer.write(`${i}`)
    for await (const { data } of subscription) if (data === '3') break
    assert.equal(subscription.cursor, `${producer.generation}.4`)
    assert.deepEqual(await subscription.next(), END)
    assert.equal(getEventListeners(signal, 'abort').length, 0)
    const seen = []
    const rest = engine.subscribe(id, { from: /** @type {string} */ (subscription.cursor) })
    await producer.complete()
    for await (const { seq } of rest) seen.push(seq)
    assert.deepEqual(
      seen,
      Array.from({ length: 96 }, (_, i) => i + 5),
    )
  })

  test('disposing is leaving', async () => {
    const { id, producer } = await stream()
    const subscription = engine.subscribe(id)
    const pending = subscription.next()
    await subscription[Symbol.asyncDispose]()
    assert.deepEqual(await pending, END)
    await producer[Symbol.asyncDispose]()
    assert.equal(producer.outcome, 'failed')
  })

  test('an error comes after every chunk, once', async () => {
    const { id, producer } = await stream()
    const readers = [engine.subscribe(id), engine.subscribe(id)]
    for (let i = 0; i < 50; i++) producer.write(`${i}`)
    assert.equal(await producer.fail(new Error('no more')), 'failed')
    for (const reader of readers) {
      for (let i = 0; i < 50; i++) assert.equal((await reader.next()).value?.data, `${i}`)
      const [first, second] = await Promise.allSettled([reader.next(), reader.next()])
      assert.equal(first.status, 'rejected')
      const error = first.reason
      assert.ok(error instanceof FailedError)
      assert.deepEqual([error.code, error.reason, error.streamId], ['ERR_FAILED', 'no more', id])
      assert.match(error.stack ?? '', /iterator\.test\.mjs/, 'the stack leads to the subscribe() call')
      assert.deepEqual(second, { status: 'fulfilled', value: END })
      assert.deepEqual([reader.outcome, reader.reason], ['failed', 'no more'])
    }
  })

  test('a takeover interrupts readers, a stop ends them quietly', async () => {
    const { id, producer } = await stream()
    const first = engine.subscribe(id)
    producer.write('a')
    assert.equal((await first.next()).value?.data, 'a')
    const second = await engine.produce(id, { ifActive: 'takeover' })
    await assert.rejects(first.next(), (error) => {
      assert.ok(error instanceof InterruptedError)
      return error.reason === 'superseded'
    })
    const reader = engine.subscribe(id)
    second.write('b')
    assert.equal((await reader.next()).value?.seq, 2)
    assert.equal(await engine.stop(id, 'enough'), 'stopping')
    assert.equal(await second.complete(), 'stopped')
    assert.deepEqual(await reader.next(), END)
    assert.deepEqual([reader.outcome, reader.reason], ['stopped', 'enough'])
  })
})

describe('a signal', () => {
  test('that is aborted already lets nothing through', async () => {
    const { id, producer } = await stream()
    producer.write('a')
    await producer.complete()
    const reason = new Error('too late')
    const subscription = engine.subscribe(id, { signal: AbortSignal.abort(reason) })
    await assert.rejects(subscription.next(), reason)
    assert.deepEqual(await subscription.next(), END)
    assert.deepEqual([subscription.cursor, subscription.outcome], [undefined, undefined])
  })

  test('rejects the first pending next() with its reason, once', async () => {
    const { id, producer } = await stream()
    const controller = new AbortController()
    const subscription = engine.subscribe(id, { signal: controller.signal })
    producer.write('a')
    assert.equal((await subscription.next()).value?.data, 'a')
    const pending = [subscription.next(), subscription.next()]
    controller.abort('enough')
    const [first, second] = await Promise.allSettled(pending)
    assert.deepEqual(first, { status: 'rejected', reason: 'enough' })
    assert.deepEqual(second, { status: 'fulfilled', value: END })
    assert.deepEqual(await subscription.next(), END)
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
    assert.equal(producer.signal.aborted, false)
    await producer.complete()
  })

  test('drops what is unread, also after the stream has ended', async () => {
    const { id, producer } = await stream()
    const controller = new AbortController()
    const subscription = engine.subscribe(id, { signal: controller.signal })
    for (let i = 0; i < 10; i++) producer.write(`${i}`)
    await producer.complete()
    assert.equal((await subscription.next()).value?.data, '0')
    controller.abort()
    await assert.rejects(subscription.next(), { name: 'AbortError' })
    assert.deepEqual(await subscription.next(), END)
    assert.deepEqual([subscription.cursor, subscription.outcome], [`${producer.generation}.1`, undefined])
  })

  test('is let go of at the end', async () => {
    const { id, producer } = await stream()
    const controller = new AbortController()
    const subscription = engine.subscribe(id, { signal: controller.signal })
    assert.equal(getEventListeners(controller.signal, 'abort').length, 1)
    producer.write('a')
    await producer.complete()
    for await (const _ of subscription);
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
    controller.abort()
    assert.deepEqual(await subscription.next(), END)
    assert.equal(subscription.outcome, 'complete')
  })
})

describe('chunks', () => {
  test('arrive as they were written, in bulk and at the pace of a slow reader', async () => {
    const { id, producer } = await stream()
    const slow = engine.subscribe(id)
    const written = []
    for (let i = 0; i < 3000; i++) {
      const text = [
        'plain',
        'é',
        '🎉🎉',
        '',
        'x'.repeat(i % 97),
        '\u0000',
        'z'.repeat(i === 500 ? 300_000 : 1),
      ][i % 7]
      const chunk = i % 5 === 0 ? new Uint8Array(Buffer.from(text)) : text
      written.push(chunk)
      producer.write(chunk)
      // Crossings of many sizes, so that the reader's batches are many and uneven.
      if (i % 11 === 0) await producer.flush()
    }
    await producer.complete()
    for (const reader of [slow, engine.subscribe(id)]) {
      let seq = 0
      for await (const chunk of reader) {
        assert.equal(chunk.seq, seq + 1)
        assert.deepEqual(chunk.data, written[seq++])
        if (seq % 500 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      assert.equal(seq, written.length)
    }
  })

  test('of bytes have memory of their own', async () => {
    const { id, producer } = await stream()
    const bytes = new Uint8Array([1, 2, 3])
    for (let i = 0; i < 4; i++) producer.write(bytes)
    bytes.fill(9)
    await producer.complete()
    for await (const { data } of engine.subscribe(id)) {
      assert.ok(data instanceof Uint8Array)
      assert.equal(data.buffer.byteLength, 3)
      assert.deepEqual(structuredClone(data, { transfer: [data.buffer] }), new Uint8Array([1, 2, 3]))
    }
  })

  test('are text and JSON on demand', async () => {
    const { id, producer } = await stream()
    producer.write('{"a":1}')
    producer.write(Buffer.from('\ufeff"é"'))
    producer.write('{')
    await producer.complete()
    const chunks = []
    for await (const chunk of engine.subscribe(id)) chunks.push(chunk)
    const [first, second, third] = chunks
    assert.deepEqual(first.json(), { a: 1 })
    assert.equal(first.text(), '{"a":1}')
    assert.equal(second.text(), '\ufeff"é"', 'nothing is trimmed')
    assert.throws(
      () => third.json(),
      (error) => error instanceof SyntaxError && /chunk 3 /.test(error.message),
    )
  })
})

describe('a closed engine', () => {
  test('ends loops with ERR_CLOSED, once, and lets nothing begin', async () => {
    const own = createEngine({ url: `memory:${randomUUID()}` })
    const producer = await own.produce('s')
    const pending = own.subscribe('s').next()
    const unstarted = own.subscribe('t')
    const closing = own.close()
    assert.equal(own.close(), closing)
    assert.throws(() => producer.write('late'), { code: 'ERR_CLOSED' })
    await Promise.all([assert.rejects(pending, { code: 'ERR_CLOSED' }), closing])
    assert.equal(own.state, 'closed')
    await assert.rejects(unstarted.next(), { code: 'ERR_CLOSED' })
    assert.deepEqual(await unstarted.next(), END)
    await assert.rejects(own.subscribe('s').next(), { code: 'ERR_CLOSED' })
    await assert.rejects(own.produce('s'), { code: 'ERR_CLOSED' })
    await assert.rejects(own.status('s'), { code: 'ERR_CLOSED' })
    await assert.rejects(own.streams().next(), { code: 'ERR_CLOSED' })
    await assert.rejects(own.connect(), { code: 'ERR_CLOSED' })
    assert.throws(() => producer.write('late'), { code: 'ERR_CLOSED' })
    assert.equal(producer.signal.reason.code, 'ERR_CLOSED')
    await own.close()
  })
})

describe('the process', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const prelude = `
    import { createRequire } from 'node:module'
    import { createEngine } from './dist/index.mjs'
    const engine = createEngine({ url: 'memory:' })
    const producer = await engine.produce('s')
    const turn = () => new Promise((resolve) => setImmediate(resolve))
  `
  /** @param {string} script @param {string[]} [flags] */
  function run(script, flags = []) {
    return new Promise((resolve) => {
      const args = [...flags, '--input-type=module', '--eval', prelude + script]
      execFile(process.execPath, args, { cwd: root, timeout: 20_000 }, (error, stdout, stderr) => {
        resolve({ code: error ? (error.code ?? error.signal) : 0, out: stdout.trim().split('\n'), stderr })
      })
    })
  }

  test('ends by itself when nothing waits', async () => {
    const { code, out, stderr } = await run(`
      producer.write('never read')
      engine.subscribe('s')
      await producer.flush()
      console.log('end')
    `)
    assert.deepEqual({ code, out }, { code: 0, out: ['end'] }, stderr)
  })

  test('waits for appends', async () => {
    const { code, out, stderr } = await run(`
      for (let i = 0; i < 3; i++) producer.append('x').then((cursor) => console.log(cursor.split('.')[1]))
    `)
    assert.deepEqual({ code, out }, { code: 0, out: ['1', '2', '3'] }, stderr)
  })

  test('waits for a loop that waits', async () => {
    const { code, out, stderr } = await run(`
      setTimeout(() => producer.write('y'), 200).unref()
      setTimeout(() => producer.complete(), 300).unref()
      ;(async () => { for await (const { seq } of engine.subscribe('s')) console.log('read', seq) })()
    `)
    assert.deepEqual({ code, out }, { code: 0, out: ['read 1'] }, stderr)
  })

  test('does not wait for a loop that is unref()ed, until it is ref()ed', async () => {
    const { code, out, stderr } = await run(`
      const loop = engine.subscribe('s')
      loop.next().then(() => console.log('not reached'))
      loop.unref().ref().unref()
    `)
    assert.deepEqual([code, out], [0, ['']], stderr)

    const waits = await run(`
      const loop = engine.subscribe('nobody', { wait: 200 }).unref()
      loop.next().catch((error) => console.log(error.code))
      loop.ref()
    `)
    assert.deepEqual([waits.code, waits.out], [0, ['ERR_NOT_FOUND']], waits.stderr)
  })

  test('gives up a loop that was dropped, but not one that is waited for', async () => {
    const { code, out, stderr } = await run(
      `
      const native = createRequire(process.cwd() + '/x.js')('./native.cjs')
      const cancel = native.cancel
      let cancelled = 0
      native.cancel = (...args) => { cancelled++; cancel(...args) }
      producer.write('x')
      await (async () => { await engine.subscribe('s').next() })()
      const waiting = engine.subscribe('s', { from: 'now' }).next()
      for (const deadline = Date.now() + 10_000; cancelled === 0 && Date.now() < deadline; ) { gc(); await turn() }
      console.log('cancelled', cancelled)
      for (let i = 0; i < 20; i++) { gc(); await turn() }
      producer.write('y')
      console.log((await waiting).value.data, cancelled)
    `,
      ['--expose-gc'],
    )
    assert.equal(code, 0, stderr)
    assert.deepEqual(out, ['cancelled 1', 'y 1'])
  })

  test('hears of errors in listeners, and everything else goes on', async () => {
    const { code, out, stderr } = await run(`
      process.on('uncaughtException', (error) => console.log('uncaught', error.message))
      producer.signal.addEventListener('abort', () => { throw new Error('of the abort listener') })
      engine.on('state', () => { throw new Error('of the state listener') })
      const other = await engine.produce('other')
      const next = engine.subscribe('other').next()
      other.write('x')
      await engine.stop('s')
      console.log((await next).value.data)
      console.log(await producer.complete())
      await engine.close()
      await turn()
    `)
    assert.equal(code, 0, stderr)
    assert.deepEqual(out.sort(), [
      'stopped',
      'uncaught of the abort listener',
      'uncaught of the state listener',
      'x',
    ])
  })
})
