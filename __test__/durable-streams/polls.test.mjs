// Polls that come back: they wait together, and are answered with what arrives.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { durableStreams } from 'tidemark/durable-streams'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const LONG = { timeout: 20_000 }
const TEXT = { 'Content-Type': 'text/plain' }

/** Requests to a stream, whose users are given by a header. @param {import('tidemark').Engine} engine @param {string} [id] */
function stream(engine, id = randomUUID()) {
  let asked = 0
  const handle = durableStreams({
    engine,
    authorize(request) {
      asked++
      const owner = request.headers.get('x-user')
      return owner === null ? true : { owner }
    },
  })
  const send = (query = '', init = {}) =>
    handle(new Request(`http://localhost/v1/stream/${id}${query}`, init))
  return {
    id,
    send,
    asked: () => asked,
    append: (/** @type {string} */ body, headers = {}) =>
      send('', { method: 'POST', headers: { ...TEXT, ...headers }, body }),
    /** @param {string} offset @param {Record<string, string>} [headers] */
    async poll(offset, headers = {}) {
      const answer = await send(`?offset=${offset}&live=long-poll`, { headers })
      return {
        status: answer.status,
        text: await answer.text(),
        next: String(answer.headers.get('stream-next-offset')),
        upToDate: answer.headers.get('stream-up-to-date'),
        closed: answer.headers.get('stream-closed'),
      }
    },
  }
}

/** An offset that nobody has been given yet. @param {string | null} offset */
const further = (offset) =>
  String(offset).replace(/\d+$/, (seq) => String(Number(seq) + 1000).padStart(seq.length, '0'))

eachStore('polls', (store) => {
  const open = useEngines(store)

  /** @param {import('tidemark').Engine} engine */
  const waiting = (engine) => until(() => engine.metrics().readers === 1, LONG)

  test('G1 what one poll ends with, the next begins with; who has fallen behind reads it all', async () => {
    const engine = open()
    const { send, append, poll } = stream(engine)
    const made = await send('', { method: 'PUT', headers: TEXT })
    const first = String(made.headers.get('stream-next-offset'))
    let at = first
    let text = ''
    for (let index = 0; index < 20; index++) {
      const polled = poll(at)
      if (index === 0) await waiting(engine)
      await append(`${index} `)
      const answer = await deadline(polled, 20_000, `answer ${index}`)
      assert.deepEqual([answer.status, answer.upToDate], [200, 'true'])
      at = answer.next
      text += answer.text
      const late = await deadline(poll(first), 20_000, 'late')
      assert.deepEqual([late.text, late.next], [text, at])
    }
    assert.equal(text, Array.from({ length: 20 }, (_, index) => `${index} `).join(''))
  })

  test('what comes with the end is answered, and the end', async () => {
    const engine = open()
    const { send, append, poll } = stream(engine)
    await send('', { method: 'PUT', headers: TEXT })
    const polls = Array.from({ length: 10 }, async () => {
      let [at, text, closed] = ['now', '', /** @type {string | null} */ (null)]
      while (closed === null) {
        const answer = await poll(at)
        at = answer.next
        text += answer.text
        closed = answer.closed
      }
      return text
    })
    await waiting(engine)
    await append('one ')
    await append('two', { 'Stream-Closed': 'true' })
    const texts = await deadline(Promise.all(polls), 20_000, 'the end')
    assert.deepEqual(new Set(texts), new Set(['one two']))
  })

  test('G10 another owner is not let in by those who wait', async () => {
    const engine = open()
    const { send, append, poll } = stream(engine)
    const own = { 'x-user': 'ann' }
    const made = await send('', { method: 'PUT', headers: { ...TEXT, ...own } })
    const at = String(made.headers.get('stream-next-offset'))
    const polled = poll(at, own)
    await waiting(engine)
    for (const headers of [{}, { 'x-user': 'bob' }]) {
      assert.equal((await deadline(poll(at, headers), 20_000, 'a refusal')).status, 403)
    }
    await append('hers', own)
    assert.equal((await polled).text, 'hers')
  })

  test('an answer that says it is up to date has all there is, however much arrives at once', async () => {
    const engine = open()
    const { send, append, poll } = stream(engine)
    const json = { 'Content-Type': 'application/json' }
    const made = await send('', { method: 'PUT', headers: json })
    let at = String(made.headers.get('stream-next-offset'))
    const numbers = Array.from({ length: 10_000 }, (_, index) => index)
    const first = poll(at)
    await waiting(engine)
    await append(JSON.stringify(numbers), json)
    const got = []
    for (let answer = await first; ; answer = await poll(at)) {
      got.push(...JSON.parse(answer.text))
      at = answer.next
      if (answer.upToDate === 'true') break
    }
    assert.deepEqual(got, numbers)
  })

  test('an offset beyond the end of a log is refused', async () => {
    const { send, poll } = stream(open())
    const made = await send('', { method: 'PUT', headers: TEXT })
    const beyond = further(made.headers.get('stream-next-offset'))
    assert.equal((await deadline(poll(beyond), 20_000, 'a refusal')).status, 410)
  })

  test('who comes with an offset beyond the end of a producer’s stream keeps nobody else from waiting', async () => {
    const engine = open()
    const { id, send, poll } = stream(engine)
    const producer = await engine.produce(id)
    const at = String((await send()).headers.get('stream-next-offset'))
    const left = new AbortController()
    const astray = send(`?offset=${further(at)}&live=long-poll`, { signal: left.signal })
    await waiting(engine)
    const polled = poll(at)
    await until(() => engine.metrics().readers === 2, LONG)
    await producer.append('here')
    assert.equal((await polled).text, 'here')
    left.abort()
    assert.equal(await (await astray).text(), '')
    await producer.complete()
  })

  test('G7 polls of a stream without an owner share a subscription, whoever they are', async () => {
    const engine = open()
    const { send, asked, append, poll } = stream(engine)
    const made = await send('', { method: 'PUT', headers: TEXT })
    let at = String(made.headers.get('stream-next-offset'))
    for (const text of ['one', 'two']) {
      const begun = asked()
      const polls = Array.from({ length: 10 }, (_, user) => poll(at, { 'x-user': `user ${user}` }))
      await until(() => asked() === begun + 10 && engine.metrics().readers > 0, LONG)
      await append(text)
      const answers = await deadline(Promise.all(polls), 20_000, 'answers')
      assert.equal(engine.metrics().readers, 1)
      assert.deepEqual(new Set(answers.map(({ text }) => text)), new Set([text]))
      at = String(answers[0]?.next)
    }
  })

  test('polls of a stream that is deleted end, and those after them', async () => {
    const engine = open()
    const { send, poll } = stream(engine)
    const made = await send('', { method: 'PUT', headers: TEXT })
    const at = String(made.headers.get('stream-next-offset'))
    const polled = [poll(at), poll(at)]
    await waiting(engine)
    polled.push(poll(at))
    await send('', { method: 'DELETE' })
    polled.push(poll(at))
    const answers = await deadline(Promise.all(polled), 20_000, 'the end')
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([404]))
  })

  if (store.kind === 'redis') {
    test('G1 a poll shows nothing of a producer that is in no store yet', async (t) => {
      const engine = open({ commandTimeout: 500 })
      const { id, poll } = stream(engine)
      const producer = await engine.produce(id)
      await producer.append('one ')
      const { next } = await poll('-1')
      const polled = poll(next)
      await waiting(engine)
      t.after(() => store.redis.resume())
      store.redis.pause()
      producer.write('two ')
      const { status, text } = await deadline(polled, 20_000, 'an answer')
      assert.deepEqual([status, /two/.test(text)], [503, false])
      store.redis.resume()
      await producer.complete()
      assert.equal((await poll(next)).text, 'two ')
    })

    /** How many scripts Redis has run. */
    const calls = async () => {
      const { cmdstat_evalsha = '' } = await store.redis.admin.info('commandstats')
      return Number(/calls=(\d+)/.exec(cmdstat_evalsha)?.[1])
    }

    test('G9 polls that all come back at once, as after a restart, are let in together', async () => {
      const { id, send } = stream(open())
      const made = await send('', { method: 'PUT', headers: TEXT })
      const at = String(made.headers.get('stream-next-offset'))
      const engine = open()
      const { append, asked, poll } = stream(engine, id)
      const before = await calls()
      const polls = Array.from({ length: 100 }, () => poll(at))
      await waiting(engine)
      assert.equal(asked(), polls.length)
      await append('more')
      const answers = await deadline(Promise.all(polls), 20_000, 'answers')
      assert.deepEqual(new Set(answers.map(({ text }) => text)), new Set(['more']))
      const during = (await calls()) - before
      // A page, a status, the subscription, the append, and what an engine does now and then.
      assert.ok(during < 20, `${during} scripts`)
    })

    test('G9 the end of a stream without an owner is looked at once, for whoever waits', async () => {
      const engine = open()
      const { send, asked, append, poll } = stream(engine)
      const made = await send('', { method: 'PUT', headers: TEXT })
      const at = String(made.headers.get('stream-next-offset'))
      const first = poll(at)
      await waiting(engine)
      const before = await calls()
      const begun = asked()
      const polls = Array.from({ length: 100 }, (_, user) => poll(at, { 'x-user': `user ${user}` }))
      await until(() => asked() === begun + polls.length, LONG)
      await append('', { 'Stream-Closed': 'true' })
      const answers = await deadline(Promise.all([first, ...polls]), 20_000, 'answers')
      assert.deepEqual(new Set(answers.map(({ closed }) => closed)), new Set(['true']))
      const during = (await calls()) - before
      assert.ok(during < 20, `${during} scripts`)
    })

    test('G9 polls that are up to date ask Redis for nothing', async () => {
      const engine = open()
      const { send, append, asked, poll } = stream(engine)
      const made = await send('', { method: 'PUT', headers: TEXT })
      let at = String(made.headers.get('stream-next-offset'))
      const first = poll(at)
      await waiting(engine)
      await append('first')
      at = (await first).next
      const before = await calls()
      const [rounds, readers] = [10, 20]
      for (let round = 0; round < rounds; round++) {
        const begun = asked()
        const polls = Array.from({ length: readers }, () => poll(at))
        await until(() => asked() === begun + readers, LONG)
        await append('more')
        const answers = await deadline(Promise.all(polls), 20_000, 'answers')
        assert.deepEqual(new Set(answers.map(({ text }) => text)), new Set(['more']))
        at = String(answers[0]?.next)
      }
      const during = (await calls()) - before
      // The appends, and what the engine does now and then.
      assert.ok(during < 3 * rounds, `${during} scripts`)
    })
  }
})
