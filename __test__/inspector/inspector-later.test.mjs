// The inspector's list as time passes. The time is the test's own: it goes on as it does, and is put forward.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { gate } from '../support/gate.mjs'
import { asker, surveyed } from '../support/inspector.mjs'
import { until } from '../support/wait.mjs'

const { now } = performance
let forward = 0
// Before Tidemark is loaded, which keeps the clock that it finds.
performance.now = () => now.call(performance) + forward
const { createEngine } = await import('tidemark')
const { inspector } = await import('tidemark/inspector')

/** A survey of fifty streams or less comes each second, one of more when its cost allows it. */
const MANY = 60
const MINUTE = 60_000

/** An inspector of `MANY` streams, and what is done in each survey, before its end. */
async function start() {
  const engine = createEngine({ url: `memory:${randomUUID()}` })
  after(() => engine.close())
  const producers = []
  for (let index = 0; index < MANY; index++) producers.push(await engine.produce(`chat ${index}`))
  const survey = { ends: async () => {} }
  const watched = surveyed(engine, () => survey.ends())
  const { get } = asker(inspector({ engine: watched, authorize: () => true }))
  const look = async (query = '') => (await get(`/api/look?sort=rate${query}`)).list
  return { engine, producers, survey, look }
}

/** The work of a survey of very many streams. */
async function work() {
  const begun = process.cpuUsage()
  while (process.cpuUsage(begun).user < 40_000);
}

test('a survey comes each half minute, whatever it costs', async () => {
  const { engine, survey, look } = await start()
  survey.ends = work
  await look()
  forward += MINUTE / 2
  await look('&fresh=1')
  const { everyMs } = await look()
  assert.ok(everyMs <= 30_000, `every ${everyMs} ms`)
  await engine.produce('new')
  forward += 30_001
  await until(async () => (await look('&q=new')).found === 1)
})

test('a stream that is gone is not shown until the next survey', async () => {
  const { engine, survey, look } = await start()
  survey.ends = work
  await look()
  forward += MINUTE / 2
  const { ageMs, everyMs } = await look('&fresh=1')
  await engine.delete('chat 7')
  // The rows are read again, the list is not.
  forward += 600
  assert.ok(ageMs + 2_000 < everyMs, `every ${everyMs} ms`)
  const { total, rows } = await look('&q=chat%207')
  assert.deepEqual([total, rows.length], [MANY, 0])
})

test('a stream that is found to be gone while a survey runs is not in its list', async () => {
  const { engine, survey, look } = await start()
  await look()
  const { opened, open } = gate()
  let isHeld = false
  survey.ends = async () => {
    isHeld = true
    await opened
  }
  const running = look('&fresh=1')
  await until(() => isHeld)
  await engine.delete('chat 7')
  forward += 600
  assert.equal((await look('&q=chat%207')).rows.length, 0)
  open()
  assert.equal((await running).total, MANY - 1)
})

test('a fresh list is not that of a survey which began before', async () => {
  const { engine, survey, look } = await start()
  const { opened, open } = gate()
  let isHeld = false
  survey.ends = async () => {
    isHeld = true
    await opened
  }
  const running = look()
  await until(() => isHeld)
  await engine.produce('new')
  const fresh = look('&fresh=1')
  open()
  assert.equal((await running).total, MANY)
  assert.equal((await fresh).total, MANY + 1)
})

test('a page that is opened again after an hour gets the list of now, and the rates of now', async () => {
  const { engine, producers, survey, look } = await start()
  // No survey is quick, which would be waited for anyway.
  survey.ends = async () => {
    forward += 200
  }
  const write = async (/** @type {number} */ count) => {
    for (let index = 0; index < count; index++) producers[0]?.write('x')
    await producers[0]?.flush()
  }
  await look()
  forward += 1_000
  await look('&fresh=1')
  forward += 60 * MINUTE
  await write(3_600)
  await engine.produce('new')
  const first = await look()
  assert.equal(first.total, MANY + 1, 'the list of now')
  const rateOf = (/** @type {any} */ { rows }) =>
    rows.find((/** @type {any} */ { streamId }) => streamId === 'chat 0')?.rate ?? null
  assert.equal(rateOf(first), null, 'no rate over an hour')
  assert.ok(first.everyMs <= 1_000, 'the rates come soon')
  await write(1_000)
  forward += 1_000
  const second = await look('&q=chat%200')
  assert.ok(rateOf(second) > 300, `${rateOf(second)} chunks a second`)
})
