// An error's stack begins at the line of the program that has made the call, and the error says where it is explained.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { startMessageChunkStream, subscribeToMessageChunkStream } from 'tidemark/message-stream'
import { chatRoutes } from 'tidemark/next'
import { defineEvents } from 'tidemark/schema'
import { z } from 'zod'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'

/** @param {any} error @param {string} what */
function checkStack(error, what) {
  const [first = ''] = error.stack.match(/^ {4}at .*/m) ?? []
  assert.match(first, /stacks\.test\.mjs/, `${what}: ${error.stack}`)
  assert.ok(error.stack.startsWith(`${error.name}: ${error.message}`) || error.stack.includes(error.message))
}

/** @type {any} */
const bad = {}

test('of what is refused at the door', async (t) => {
  const engine = createEngine({ url: 'memory:' })
  t.after(() => engine.close())
  const producer = await engine.produce('refused')
  const events = defineEvents({ token: z.object({ text: z.string() }) })
  const typed = await events.produce(engine, 'typed')
  const subscription = engine.subscribe('refused')
  /** @type {Record<string, () => unknown>} */
  const calls = {
    createEngine: () => createEngine({ lease: bad }),
    produce: () => engine.produce('x', { owner: bad }),
    pipe: () => engine.pipe('x', bad, { owner: bad }),
    subscribe: () => engine.subscribe('x', { from: 'nowhere' }),
    'ack of an engine': () => engine.ack('x', { consumer: 'c', cursor: 'bad' }),
    text: () => engine.text('x', { format: bad }),
    result: () => engine.result('x', { reduce: bad }),
    consume: () => engine.consume('x', bad),
    finished: () => engine.finished(bad),
    deadLetters: () => engine.deadLetters(bad),
    respond: () => engine.respond(bad, 'x'),
    send: () => engine.send(bad, bad, 'x'),
    stop: () => engine.stop(bad),
    status: () => engine.status(bad),
    delete: () => engine.delete(bad),
    cleanup: () => engine.cleanup({ batch: 0 }),
    metrics: () => engine.metrics(bad && { format: 'xml' }),
    sampleMemory: () => engine.sampleMemory({ streams: 0 }),
    write: () => producer.write(bad),
    append: () => producer.append(bad),
    'ack of a subscription': () => subscription.ack('bad'),
    toSSE: () => subscription.toSSE({ heartbeatMs: -1 }),
    chatRoutes: () => chatRoutes(bad),
    defineEvents: () => defineEvents(bad && 5),
    'produce events': () => events.produce(engine, 'x', { validate: bad }),
    'write an event': () => typed.write({ type: 'token', text: bad }),
    startMessageChunkStream: () => startMessageChunkStream(bad),
    subscribeToMessageChunkStream: () => subscribeToMessageChunkStream(bad),
  }
  for (const [name, call] of Object.entries(calls)) {
    // As a call of the program's own, after its own awaits.
    const error = await Promise.resolve()
      .then(async () => call())
      .then(
        () => assert.fail(`${name} takes anything`),
        (error) => error,
      )
    assert.match(error.code, /^ERR_(INVALID_ARGUMENT|SCHEMA)$/, `${name}: ${error}`)
    checkStack(error, name)
  }
})

eachStore('stacks', (store) => {
  const open = useEngines(store)

  test('of what comes later: the call that it answers', async () => {
    const engine = open()
    const producer = await engine.produce('later', { owner: 'ann' })
    checkStack(await engine.produce('later', { owner: 'ann' }).catch((error) => error), 'produce')
    checkStack(await engine.stop('later').catch((error) => error), 'stop')
    checkStack(
      await engine
        .subscribe('none', { wait: 0 })
        .next()
        .catch((error) => error),
      'subscribe',
    )
    await engine.produce('later', { owner: 'ann', ifActive: 'takeover' })
    const fenced = await producer.append('x').catch((error) => error)
    assert.equal(fenced.code, 'ERR_FENCED')
    for (const [name, call] of Object.entries({
      write: async () => producer.write('x'),
      append: () => producer.append('x'),
      flush: () => producer.flush(),
      complete: () => producer.complete(),
    }))
      checkStack(await call().catch((error) => error), name)
    await engine.close()
    checkStack(await engine.status('x').catch((error) => error), 'status')
  })

  test('the error names the page that explains its code, when it is printed too', async () => {
    const error = await open()
      .subscribe('none', { wait: 0 })
      .next()
      .catch((error) => error)
    assert.match(error.docs, /^https:.*\/docs\/errors\.md#err_not_found$/)
    const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
    assert.match(page, /^## ERR_NOT_FOUND$/m)
  })
})
