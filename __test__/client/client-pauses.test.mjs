// tidemark/client against servers that fail or say nothing new: how long it pauses before it asks again.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow } from 'tidemark/client'
import { serve } from '../support/event-source.mjs'
import { chunk, events, longestPauses, QUICK, read, scripted, Times, UNKNOWN } from '../support/following.mjs'
import { until } from '../support/wait.mjs'

test('a server that is silent is left and asked again', async () => {
  const stalled = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(': hi\n')),
  })
  const { url, asked } = await scripted(
    () => new Response(stalled),
    events('event: end\ndata: {"outcome":"complete"}\n\n'),
  )
  const { outcome } = await read(url, { silenceMs: 500 }).end()
  assert.deepEqual([outcome, asked.length], ['complete', 2])
})

test('the pauses grow while nothing is received, up to the longest', async (t) => {
  longestPauses(t)
  /** @type {number[]} */
  const at = []
  const { url } = await scripted(() => {
    at.push(performance.now())
    return new Response('', { status: at.length < 12 ? 503 : 404 })
  })
  const { error } = await read(url, { minRetryMs: 20, maxRetryMs: 80 }).end()
  assert.deepEqual([error?.status, error?.code, at.length], [404, 'ERR_HTTP', 12])
  const total = /** @type {number} */ (at.at(-1)) - /** @type {number} */ (at[0])
  // Not 20 ms times 2 ** 11, and less than 0.8 s where the machine has nothing else to do.
  assert.ok(total > 20 + 40 + 9 * 80 - 20 && total < 20 * 2 ** 9, `${total} ms`)
})

/** Responses of which nothing is new. @type {Record<string, string>} */
const idle = {
  'nothing at all': '',
  'a comment': ': hello\n\n',
  'a pause for EventSource': 'retry: 10\n\n',
  'events without an id': 'data: x\n\nevent: other\ndata: y\n\n',
  'a reset, and nothing': 'event: reset\ndata: {"reason":"unknown"}\n\n',
  'a chunk that it has': chunk(1),
  'half an event': `id: ${UNKNOWN}.2\ndata: 2\n`,
}
for (const [name, text] of Object.entries(idle)) {
  test(`the pauses grow while a server answers with ${name}`, async (t) => {
    longestPauses(t)
    const times = new Times()
    const { url } = await scripted((request) => {
      const count = times.note()
      if (count === 1) return events(chunk(1))(request)
      return count < 7 ? events(text)(request) : new Response('', { status: 404 })
    })
    const { chunks } = await read(url, { minRetryMs: 10, maxRetryMs: 70 }).end()
    assert.deepEqual([chunks.length, times.at.length], [1, 7])
    for (const [index, least] of [10, 20, 40, 70, 70, 70].entries()) {
      assert.ok(times.after(index) >= least - 2, `pause ${index}: ${times.after(index)} ms, not ${least}`)
    }
  })
}

test('a chunk makes the pauses short again', async (t) => {
  longestPauses(t)
  const times = new Times()
  const { url } = await scripted((request) => {
    const count = times.note()
    if (count === 6) return events(chunk(1))(request)
    return new Response('', { status: count < 6 ? 500 : 404 })
  })
  await read(url, { minRetryMs: 60, maxRetryMs: 100_000 }).end()
  assert.ok(times.after(4) >= 60 * 2 ** 4 - 2, `${times.after(4)} ms`)
  // 60 ms, but for what a busy machine adds; it would have been 60 * 2 ** 5.
  assert.ok(times.after(5) < 60 * 2 ** 4, `${times.after(5)} ms`)
})

test('Retry-After comes before the next try, however long it is', async (t) => {
  t.mock.method(Math, 'random', () => 0)
  const inTwoSeconds = () => new Date(Date.now() + 2_000).toUTCString()
  /** @type {[status: number, value: () => string, least: number][]} */
  const answers = [
    [503, () => '1', 990],
    [429, () => ' 1 ', 990],
    // Dates have no milliseconds.
    [503, inTwoSeconds, 950],
    [502, () => '0', 0],
    [503, () => 'soon', 0],
    [503, () => new Date(0).toUTCString(), 0],
    [503, () => '-5', 0],
  ]
  await Promise.all(
    answers.map(async ([status, value, least]) => {
      const times = new Times()
      const { url } = await scripted(() => {
        if (times.note() > 1) return new Response('', { status: 404 })
        return new Response('', { status, headers: { 'retry-after': value() } })
      })
      await read(url, { minRetryMs: 1, maxRetryMs: 1 }).end()
      const pause = times.after(0)
      assert.ok(pause >= least && pause < least + 1_500, `${status} ${value()}: ${pause} ms`)
    }),
  )
  // More than a timer takes, which would fire at once.
  const controller = new AbortController()
  const always = ['99999999', '1e300', new Date(Date.now() + 1e12).toUTCString()].map(async (value) => {
    const { url, asked } = await scripted(
      () => new Response('', { status: 503, headers: { 'retry-after': value } }),
    )
    await read(url, { minRetryMs: 1, maxRetryMs: 1, signal: controller.signal }).end()
    return asked.length
  })
  const witness = await scripted(() => new Response('', { status: 503 }))
  const other = read(witness.url, { minRetryMs: 10, maxRetryMs: 10, signal: controller.signal })
  await until(() => witness.asked.length > 20)
  controller.abort()
  await other.end()
  assert.deepEqual(await Promise.all(always), [1, 1, 1])
})

test('a page that is looked at again tries at once, but not where the server has asked for a pause', async (t) => {
  const page = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  const window = new EventTarget()
  const global = /** @type {any} */ (globalThis)
  const own = { document: page, addEventListener: window.addEventListener.bind(window) }
  Object.assign(global, own, { removeEventListener: window.removeEventListener.bind(window) })
  t.after(() => {
    for (const name of ['document', 'addEventListener', 'removeEventListener']) delete global[name]
  })
  // The length of a pause is chosen when it begins.
  const chosen = longestPauses(t)
  for (const pause of ['', '100']) {
    const { url, asked } = await scripted(
      () => new Response('', { status: 503, headers: pause ? { 'retry-after': pause } : {} }),
      events(`event: end\ndata: {"outcome":"complete"}\n\n`),
    )
    const controller = new AbortController()
    const options = { minRetryMs: 100_000, maxRetryMs: 100_000, signal: controller.signal }
    chosen.mock.resetCalls()
    const reader = read(url, options)
    await until(() => chosen.mock.callCount() > 0)
    window.dispatchEvent(new Event('online'))
    if (pause === '') assert.equal((await reader.end()).outcome, 'complete')
    else await fetch(new URL('/witness', url))
    assert.equal(asked[1], pause === '' ? '/' : '/witness')
    controller.abort()
    await reader.end()
  }
})

test('a page that is looked at again leaves a connection that is silent, also after the clock was put back', async (t) => {
  const page = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  const global = /** @type {any} */ (globalThis)
  Object.assign(global, { document: page })
  t.after(() => delete global.document)
  const silent = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(chunk(1))),
  })
  const { url, asked } = await scripted(
    () => new Response(silent, { headers: { 'content-type': 'text/event-stream' } }),
    events('event: end\ndata: {"outcome":"complete"}\n\n'),
  )
  const reader = read(url)
  await until(() => reader.chunks.length === 1)
  page.dispatchEvent(new Event('visibilitychange'))
  await fetch(new URL('/witness', url))
  assert.deepEqual(asked, ['/', '/witness'], 'there was a byte just now')
  const { now } = Date
  t.mock.method(Date, 'now', () => now() - 3_600_000)
  page.dispatchEvent(new Event('visibilitychange'))
  assert.equal((await reader.end()).outcome, 'complete')
})

test('acknowledgements leave a server alone for as long as it wants', async () => {
  const times = new Times()
  const { url } = await serve(async (request) => {
    if (request.method === 'POST') {
      const headers = times.note() === 1 ? { 'retry-after': '1' } : undefined
      return new Response('', { status: 429, headers })
    }
    const many = Array.from({ length: 60 }, (_, index) => chunk(index + 1)).join('')
    return events(`${many}event: end\ndata: {"outcome":"complete"}\n\n`)()
  })
  const loop = follow(url, { ...QUICK, ack: { url, intervalMs: 10 } })
  for await (const _ of loop) await new Promise((resolve) => setTimeout(resolve, 30))
  assert.ok(times.after(0) >= 1_000, `${times.after(0)} ms`)
  assert.ok(times.at.length > 2)
})
