// The contract of TanStack AI's StreamDurability (`tidemark/tanstack`), and TanStack AI itself on top of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resumeHttpResponse, resumeServerSentEventsResponse, toServerSentEventsResponse } from '@tanstack/ai'
import { tidemarkStream } from 'tidemark/tanstack'
import { finished, label, started, words } from '../support/ag-ui.mjs'
import { startChild } from '../support/child.mjs'
import { checkHistory } from '../support/history.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

/** @typedef {import('tidemark/tanstack').TidemarkStreamDurability} Run */

/** @param {string} query @param {Record<string, string>} [headers] */
const asks = (query, headers) => new Request(`https://example.test/chat${query}`, headers ? { headers } : {})

/** Reads a run to its end in the background. @param {Run} run @param {string} [from] @param {AbortSignal} [signal] */
function following(run, from = '-1', signal) {
  /** @type {string[]} */
  const seen = []
  /** @type {string[]} */
  const offsets = []
  const done = (async () => {
    for await (const { offset, chunk } of run.read(from, signal)) {
      offsets.push(offset)
      seen.push(label(chunk))
    }
  })()
  done.catch(() => {})
  return { seen, offsets, end: () => deadline(done, 20_000, `the reader ends, after ${seen.length}`) }
}

/** Of server-sent events. @param {string} body */
const idsOf = (body) => [...body.matchAll(/^id: ?(.*)$/gm)].map(([, id]) => /** @type {string} */ (id))

/** What the text of a body says. @param {string} body */
const textIn = (body) => [...body.matchAll(/"delta":"([^"]*)"/g)].map(([, delta]) => delta).join('')

eachStore('a run of TanStack AI', (store) => {
  const open = useEngines(store)

  test('each chunk has an offset of its own, the same in every replay and safe in a header', async () => {
    const engine = open()
    const runId = 'läuft 1:2/3 ?&%'
    const run = tidemarkStream(engine, { runId })
    assert.deepEqual([run.runId, run.resumeFrom()], [runId, null])
    const offsets = [
      ...(await run.append([words('a'), words('a'), words('b')])),
      ...(await run.append([words('c')])),
    ]
    assert.deepEqual(await run.append([]), [])
    assert.equal(new Set(offsets).size, 4)
    for (const offset of offsets) assert.match(offset, /^[!-~]+$/)
    await run.close()
    for (const reader of [following(run), following(tidemarkStream(open(), { runId }))]) {
      await reader.end()
      assert.deepEqual([reader.seen, reader.offsets], [['a', 'a', 'b', 'c'], offsets])
    }
    // An offset says which run it is of, and nothing else is needed.
    const back = tidemarkStream(open(), asks('', { 'last-event-id': String(offsets[1]) }))
    assert.deepEqual([back.runId, back.resumeFrom()], [runId, offsets[1]])
    const reader = following(back, String(back.resumeFrom()))
    await reader.end()
    assert.deepEqual(reader.offsets, offsets.slice(2))
  })

  test('a request names its run and its offset, headers first', async () => {
    const engine = open()
    const [offset = ''] = await tidemarkStream(engine, { runId: 'named' }).append([words('a')])
    const at = encodeURIComponent(offset)
    for (const [request, runId, from] of /** @type {const} */ ([
      [asks('?runId=query'), 'query', null],
      [asks('?runId=query', { 'x-run-id': 'header' }), 'header', null],
      [asks('?runId=query&offset=-1'), 'query', '-1'],
      [asks('?runId=query&offset=now'), 'query', 'now'],
      [asks(`?offset=${at}`), 'named', offset],
      [asks('?runId=named&offset=-1', { 'last-event-id': offset }), 'named', offset],
    ])) {
      const run = tidemarkStream(engine, request)
      assert.deepEqual([run.runId, run.resumeFrom()], [runId, from])
    }
  })

  test('G1 a reader follows to the close, past every RUN_FINISHED, on any server', async () => {
    const run = tidemarkStream(open(), { runId: 'loop' })
    await run.append([started(), words('rolling'), finished()])
    const readers = [following(tidemarkStream(open(), { runId: 'loop' })), following(run)]
    await until(() => readers.every(({ seen }) => seen.length === 3))
    const late = following(tidemarkStream(open(), asks('?runId=loop&offset=now')), 'now')
    const again = tidemarkStream(open(), { runId: 'loop' })
    await again.snapshot()
    await until(async () => {
      await again.append([words('.')])
      return late.seen.length > 0
    })
    await again.append([words('14'), finished()])
    await again.close()
    await Promise.all([...readers, late].map((reader) => reader.end()))
    const [first] = readers
    assert.deepEqual(
      first?.seen.filter((each) => each !== '.'),
      ['[RUN_STARTED]', 'rolling', '[RUN_FINISHED]', '14', '[RUN_FINISHED]'],
    )
    assert.deepEqual(readers[1]?.offsets, first?.offsets)
    assert.deepEqual(
      late.offsets,
      first?.offsets.slice(-late.offsets.length),
      'what came, and nothing before',
    )
    assert.ok(!late.seen.includes('rolling'))
  })

  test('an abort ends a reader quietly, whatever it waits for', async () => {
    const engine = open()
    const left = new AbortController()
    const run = tidemarkStream(engine, { runId: 'left' })
    await run.append([words('a')])
    const nobody = tidemarkStream(engine, { runId: 'never' }, { firstChunkDeadlineMs: 60_000 })
    const readers = [following(run, '-1', left.signal), following(nobody, '-1', left.signal)]
    await until(() => readers[0]?.seen.length === 1)
    left.abort(new Error('the client has left'))
    await Promise.all(readers.map((reader) => reader.end()))
    await following(run, '-1', AbortSignal.abort()).end()
    const after = following(run)
    await until(() => after.seen.length === 1)
    await run.close()
    await after.end()
  })

  test('a run that has nothing is waited for, not long; one that is gone is an error at once', async () => {
    const engine = open()
    const options = { firstChunkDeadlineMs: 30 }
    const run = (/** @type {string} */ runId) => tidemarkStream(engine, { runId }, options)
    for (const from of ['-1', 'now']) {
      await assert.rejects(following(run('nobody'), from).end(), {
        code: 'ERR_NOT_FOUND',
        message: /produced no data within 30ms/,
      })
    }
    assert.deepEqual(await run('nobody').snapshot(), [])
    assert.equal(await engine.status('tanstack:nobody'), null, 'nothing was made by asking')
    // One that comes in time.
    const patient = following(tidemarkStream(engine, { runId: 'soon' }, { firstChunkDeadlineMs: 20_000 }))
    const soon = run('soon')
    const [offset = ''] = await soon.append([words('a')])
    await until(() => patient.seen.length === 1)
    // Once there is something, nothing is late.
    const parked = following(soon)
    await new Promise((resolve) => setTimeout(resolve, 60))
    await soon.append([words('b')])
    await until(() => parked.seen.length === 2)
    await engine.delete('tanstack:soon')
    // A clean end would pass for the run's own.
    for (const reader of [patient, parked, following(soon, offset)]) {
      await assert.rejects(reader.end(), { code: 'ERR_NOT_FOUND', message: /Unknown or expired/ })
    }
    await run('empty').close()
    await following(run('empty')).end()
    await soon.append([words('another')])
    await assert.rejects(following(soon, offset).end(), { message: /Unknown or expired/ })
  })

  test('a snapshot never waits, and is a copy', async () => {
    const run = tidemarkStream(open(), { runId: 'snapshot' })
    const chunks = Array.from({ length: 40 }, (_, index) => words(`${index} `.padEnd(20_000, '.')))
    const offsets = await run.append(chunks)
    const other = tidemarkStream(open(), { runId: 'snapshot' })
    const there = await deadline(other.snapshot(), 20_000, 'the snapshot of an open run')
    assert.deepEqual(
      there.map(({ offset }) => offset),
      offsets,
    )
    assert.deepEqual(
      there.map(({ chunk }) => chunk),
      chunks,
    )
    there.length = 1
    Object.assign(there[0] ?? {}, { offset: 'mine' })
    await other.close()
    assert.deepEqual(
      (await run.snapshot()).map(({ offset }) => offset),
      offsets,
    )
  })

  test('G2 a closed run stays closed, from anywhere; large chunks and batches are taken', async () => {
    const run = tidemarkStream(open(), { runId: 'closing' })
    const large = [words('x'.repeat(700_000)), words('y'.repeat(700_000)), words('z'.repeat(3 << 20))]
    const offsets = await run.append([...large, words('half \ud83c'), words('\udf0a')])
    assert.equal(new Set(offsets).size, 5)
    await Promise.all([run.close(), tidemarkStream(open(), { runId: 'closing' }).close()])
    await run.close()
    await assert.rejects(run.append([words('late')]), { code: 'ERR_ENDED' })
    const reader = following(tidemarkStream(open(), { runId: 'closing' }), offsets[1])
    await reader.end()
    assert.deepEqual(
      reader.seen.map(({ length }) => length),
      [3 << 20, 6, 1],
    )
    assert.equal(reader.seen.slice(1).join(''), 'half 🌊')
  })

  test('bad input is refused at the door, in words that give nothing away', async () => {
    const engine = open()
    const invalid = { code: 'ERR_INVALID_ARGUMENT' }
    const refused = (/** @type {any} */ source, /** @type {any} */ options) =>
      assert.throws(() => tidemarkStream(engine, source, options), invalid)
    for (const runId of ['', 'a\nb', 'a\rb', 'a\0b', '..', '../x', 'a/../b', 'a\\..', '.', 'x'.repeat(449)]) {
      refused({ runId }, undefined)
      refused(asks(`?runId=${encodeURIComponent(runId)}`), undefined)
    }
    refused({ runId: '\ud83c' }, undefined)
    refused({ runId: 7 }, undefined)
    refused(asks(''), undefined)
    refused(asks('?offset=-1'), undefined)
    refused({}, undefined)
    refused(null, undefined)
    refused({ runId: 'a', other: 1 }, undefined)
    const run = tidemarkStream(engine, { runId: 'door' })
    const [offset = ''] = await run.append([words('a')])
    const bad = [
      ...['', '0', 'memory:v1:door:1', `${offset} `, offset.slice(0, -1), offset.replace('v1', 'v2')],
      ...[
        offset.repeat(100),
        'tidemark:v1:%E0%A4%A:x',
        offset.replace('door', '..'),
        offset.replace('d', '%64'),
      ],
    ]
    for (const each of bad) {
      refused({ runId: 'door', offset: each }, undefined)
      await assert.rejects(following(run, each).end(), invalid)
    }
    // A run that one may read opens no other.
    refused({ runId: 'other', offset }, undefined)
    refused(asks('', { 'x-run-id': 'other', 'last-event-id': offset }), undefined)
    await assert.rejects(following(tidemarkStream(engine, { runId: 'other' }), offset).end(), invalid)
    for (const options of [
      { owner: '' },
      { ttl: 0 },
      { prefix: 7 },
      { firstChunkDeadlineMs: -1 },
      { onStop: 1 },
      { nothing: 1 },
    ])
      refused({ runId: 'a' }, options)
    assert.throws(() => tidemarkStream(/** @type {any} */ ({}), { runId: 'a' }), invalid)
    const cyclic = { type: 'CUSTOM' }
    Object.assign(cyclic, { cyclic })
    const holed = [words('a')]
    holed[2] = words('b')
    for (const chunks of [7, null, ['text'], [null], [[]], holed, [words('a'), cyclic]]) {
      await assert.rejects(run.append(/** @type {any} */ (chunks)), invalid)
    }
    assert.equal((await run.snapshot()).length, 1, 'nothing of it was written')
    // A stream of the application's is no run, whatever a client names.
    await engine.log('private').append(['{}'])
    assert.deepEqual(await tidemarkStream(engine, { runId: 'private' }).snapshot(), [])
  })

  test('G10 a run with an owner is theirs', async () => {
    const engine = open()
    const mine = tidemarkStream(engine, { runId: 'owned' }, { owner: 'ann' })
    const [offset = ''] = await mine.append([words('a')])
    const other = tidemarkStream(engine, { runId: 'owned' }, { owner: 'a-secret-name' })
    for (const attempt of [
      () => other.append([words('b')]),
      () => other.close(),
      () => other.snapshot(),
      () => following(other).end(),
      () => following(other, offset).end(),
    ]) {
      await assert.rejects(attempt, (error) => {
        assert.equal(/** @type {any} */ (error).code, 'ERR_FORBIDDEN')
        assert.doesNotMatch(String(/** @type {Error} */ (error).stack), /a-secret-name|ann/)
        return true
      })
    }
  })

  test('G6 an append tells of a stop, once', async () => {
    const engine = open()
    /** @type {string[]} */
    const told = []
    const run = tidemarkStream(engine, { runId: 'stopped' }, { onStop: (reason) => void told.push(reason) })
    await run.append([words('a')])
    await open().stop('tanstack:stopped', 'enough')
    await run.append([words('b')])
    await run.append([words('c')])
    assert.deepEqual(told, ['enough'])
    await run.close()
    assert.equal((await engine.status('tanstack:stopped'))?.state, 'stopped')
  })

  test('TanStack AI: a client that lost its response resumes on another server, and gets every event once', async () => {
    const [one, two] = [open(), open()]
    /** @type {(value?: unknown) => void} */
    let goOn = () => {}
    const wait = new Promise((resolve) => {
      goOn = resolve
    })
    async function* model() {
      yield started('served')
      for (let number = 0; number < 20; number++) {
        if (number === 10) await wait
        yield words(`${number} `)
      }
      yield finished('served')
    }
    const request = asks('', { 'x-run-id': 'served' })
    const response = toServerSentEventsResponse(model(), {
      durability: { adapter: tidemarkStream(one, request), batch: 4 },
    })
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader()
    let first = ''
    while (idsOf(first).length < 6) first += new TextDecoder().decode((await reader.read()).value)
    await reader.cancel()
    const last = /** @type {string} */ (idsOf(first).at(-1))
    goOn()
    // Headers alone: the offset knows the run.
    const resumed = await deadline(
      resumeServerSentEventsResponse({
        adapter: tidemarkStream(two, asks('', { 'last-event-id': last })),
      }).text(),
      10_000,
      'the resumed response',
    )
    const all = Array.from({ length: 20 }, (_, number) => `${number} `).join('')
    const whole = await resumeHttpResponse({
      adapter: tidemarkStream(two, asks('?runId=served&offset=-1')),
    }).text()
    assert.equal(textIn(whole), all)
    const seen = idsOf(first.slice(0, first.lastIndexOf('\n\n') + 2))
    assert.ok(!idsOf(resumed).some((id) => seen.includes(id)), 'no event twice')
    assert.equal(textIn(first.slice(0, first.lastIndexOf('\n\n'))) + textIn(resumed), all)
    assert.equal((await one.status('tanstack:served'))?.state, 'complete')
  })
})

eachStore('a detached run of TanStack AI', (store) => {
  const open = useEngines(store)

  test('G1 G5 a successor goes on with the log of a host that has gone without a word', async (t) => {
    const keyPrefix = store.prefix()
    const reading = open({ keyPrefix })
    const deadlines = { firstChunkDeadlineMs: 20_000 }
    const reader = following(tidemarkStream(reading, { runId: 'detached' }, deadlines))
    /** @type {{ data: string, acknowledged: boolean }[]} */
    const written = []
    if (store.kind === 'redis') {
      const work = { runId: 'detached', options: { url: store.url, keyPrefix } }
      const host = startChild(new URL('../children/tanstack-host.mjs', import.meta.url), {
        env: { WORK: JSON.stringify(work) },
      })
      t.after(() => host.kill())
      await until(() => reader.seen.length >= 20, { message: () => host.output })
      await host.kill()
      const accepted = host.messages.filter(({ type }) => type === 'accepted').length
      // One that was on its way may be there.
      for (let number = 0; number <= accepted; number++)
        written.push({ data: `${number} `, acknowledged: number < accepted })
    } else {
      const host = tidemarkStream(open({ keyPrefix }), { runId: 'detached' })
      for (let number = 0; number < 20; number++) {
        await host.append([words(`${number} `)])
        written.push({ data: `${number} `, acknowledged: true })
      }
    }
    const successor = tidemarkStream(open({ keyPrefix }), asks('', { 'x-run-id': 'detached' }))
    const there = (await successor.snapshot()).map(({ chunk }) => label(chunk))
    for (let number = there.length; number < there.length + 10; number++) {
      await successor.append([words(`after ${number}`)])
      written.push({ data: `after ${number}`, acknowledged: true })
    }
    await successor.close()
    await reader.end()
    checkHistory({
      written,
      readers: [
        {
          name: 'who was there all the time',
          chunks: reader.seen.map((data, index) => ({ data, seq: index + 1 })),
          outcome: 'complete',
        },
      ],
    })
    assert.deepEqual(reader.seen.slice(0, there.length), there)
    assert.equal((await reading.status('tanstack:detached'))?.state, 'complete')
  })
})
