// The inspector in a real browser: played through with the keyboard, in light, dark and at a phone's width.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createEngine } from 'tidemark'
import { inspector, toNodeListener } from 'tidemark/inspector'
import { violations } from '../support/axe.mjs'
import { startBrowser } from '../support/browser.mjs'
import { until } from '../support/wait.mjs'

const ARTEFACTS = new URL('../artefacts/', import.meta.url)
mkdirSync(ARTEFACTS, { recursive: true })
const HOSTILE = `<img src=x onerror="document.title='owned'">\u202e<script>document.title='owned'</script>`
const WORDS =
  'Long before there were maps, sailors of the estuary read the tidemark: the dark line that the last high water leaves on stone. '.split(
    /(?<= )/,
  )
const OWNERS = ['ann', 'bob', 'carla', 'dmitri']

const browser = await startBrowser()

/** @param {object} [options] of the inspector */
async function start(options) {
  const engine = createEngine({ url: `memory:${randomUUID()}` })
  const inspect = toNodeListener(inspector({ engine, authorize: () => true, ...options }))
  // Nothing is to be asked for above the path that it is mounted at.
  const server = createServer((request, response) => {
    if (/^\/inspect(\/|$)/.test(request.url ?? '')) inspect(request, response)
    else response.writeHead(404).end()
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  /** What writes to it. @type {ReturnType<typeof setInterval>[]} */
  const timers = []
  after(async () => {
    for (const timer of timers) clearInterval(timer)
    server.closeAllConnections()
    server.close()
    await engine.close()
  })
  const url = `http://127.0.0.1:${/** @type {any} */ (server.address()).port}/inspect`
  return { engine, url, timers }
}

/** @param {string} url */
async function openTab(url) {
  const page = await browser.newPage()
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 1320, height: 900 })
  /** @type {string[]} */
  const complaints = []
  page.on(
    'console',
    (message) => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()),
  )
  page.on('pageerror', (error) => complaints.push(String(error.stack)))
  await page.goto(url)
  return {
    page,
    complaints,
    /** @param {string} name */
    shoot: (name, fullPage = false) =>
      page.screenshot({ path: fileURLToPath(new URL(`inspector-${name}.png`, ARTEFACTS)), fullPage }),
    focus: () => page.evaluate('document.activeElement?.textContent?.trim() ?? ""'),
    async checkShape() {
      assert.deepEqual(await violations(page), [])
      assert.ok(
        await page.evaluate('document.documentElement.scrollWidth <= innerWidth'),
        'nothing is cut off',
      )
    },
  }
}

/**
 * Streams in all states, and some that go on being written until the test ends.
 * @param {import('tidemark').Engine} engine
 * @param {ReturnType<typeof setInterval>[]} timers
 */
async function populate(engine, timers) {
  const names = ['harbour', 'estuary', 'lagoon', 'delta', 'fjord']
  const producers = await Promise.all(
    Array.from({ length: 16 }, (_, index) =>
      engine.produce(`chat-${names[index % 5]}-${1_000 + index * 37}`, {
        owner: OWNERS[index % 4],
        metadata: { chatId: index, model: 'storyteller' },
      }),
    ),
  )
  const live = producers.slice(0, 7)
  const writing = live.map((producer, index) => {
    let said = 0
    return setInterval(
      () => {
        if (producer.signal.aborted) return
        const delta = WORDS[said++ % WORDS.length]
        producer.write(JSON.stringify({ type: 'text-delta', id: 't', delta }))
      },
      25 + 40 * index,
    )
  })
  timers.push(...writing)
  for (const [index, producer] of producers.slice(7).entries()) {
    for (let count = 0; count < 30 + 45 * index; count++) producer.write(WORDS[count % WORDS.length] ?? '')
    await producer.flush()
    if (index === 1) await producer.fail(new Error('the model is overloaded'))
    else if (index === 2) {
      await engine.stop(producer.streamId, {
        owner: OWNERS[(7 + index) % 4],
        reason: 'the user pressed Stop',
      })
      await producer.complete()
    } else await producer.complete()
  }
  const [first] = producers
  assert.ok(first)
  const [id, owner] = [first.streamId, 'ann']
  await engine.ack(id, { consumer: 'laptop', cursor: await first.append('{}'), owner })
  const options = { group: 'moderation', owner, maxDeliveries: 1, claimIdleMs: 1, batch: 3 }
  // All three of a batch become dead letters.
  for (let count = 0; count < 3; count++) await first.append('{}')
  // Kept, since a consumer that is dropped gives back what it has not got to.
  const [one, two] = ['one', 'two'].map((consumer) => engine.consume(id, { ...options, consumer }))
  await one?.next()
  // Until those are idle for longer than `claimIdleMs`; before that, the other one would be handed new ones.
  await sleep(50)
  two?.next().catch(() => {})
  return { id, first, consumers: [one, two] }
}

test('played through with the keyboard: the list, a stream that is live, its dead letters, Stop, the engine', async () => {
  const { engine, url, timers } = await start({ write: true, showData: true })
  const { id, first, consumers } = await populate(engine, timers)
  const { page, shoot, focus, checkShape, complaints } = await openTab(url)

  const row = page.getByRole('row', { name: id })
  await row.waitFor()
  await until(async () => Number((await row.locator('td').nth(2).textContent()) ?? 0) > 5)
  await checkShape()
  await page.keyboard.press('Tab')
  assert.equal(await focus(), 'Skip to the content')
  await page.keyboard.press('Enter')
  assert.equal(await page.evaluate('document.activeElement.id'), 'main')
  await until(
    async () => (await page.locator('.tile .curve').first().getAttribute('d'))?.split('L').length > 4,
  )
  await shoot('list-light')

  // Sorted by a head, and the focus stays there.
  await page.getByRole('button', { name: 'Chunks', exact: true }).focus()
  await page.keyboard.press('Enter')
  await page.locator('th[aria-sort="descending"]', { hasText: 'Chunks' }).waitFor()
  await page.keyboard.press('Enter')
  await page.locator('th[aria-sort="ascending"]', { hasText: 'Chunks' }).waitFor()
  assert.equal(await focus(), 'Chunks')
  await page.getByRole('searchbox').fill('dmitri')
  await page.getByText('4 of 16 streams').waitFor()
  await page.getByRole('searchbox').fill('nobody of this name')
  await page.getByRole('heading', { name: 'Nothing matches' }).waitFor()
  await checkShape()
  await page.getByRole('searchbox').fill('')
  await page.getByRole('button', { name: /^failed/ }).click()
  await page.getByText('1 of 16 streams').waitFor()
  await page.getByRole('button', { name: /^all/ }).click()

  await row.getByRole('link').focus()
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: id }).waitFor()
  const lines = page.locator('.player .line')
  await until(async () => (await lines.count()) > 30)
  assert.match((await lines.last().textContent()) ?? '', /text-delta/)
  const seq = async () => Number((await lines.last().locator('.seq').textContent())?.replace(/\D/g, ''))
  const before = await seq()
  await until(async () => (await seq()) > before)
  await page.getByText('3 · show').waitFor()
  await checkShape()
  await shoot('stream-light')
  await page.getByRole('button', { name: 'Pause' }).click()
  const paused = await seq()
  await until(async () => ((await engine.status(id))?.lastSeq ?? 0) > paused + 20)
  assert.equal(await seq(), paused, 'paused')
  await page.getByRole('button', { name: 'Go on' }).click()
  await until(async () => (await seq()) > paused + 20)
  await page.getByRole('button', { name: 'As text' }).click()
  assert.match((await page.locator('.prose').textContent()) ?? '', /sailors of the estuary/)
  await page.getByRole('button', { name: 'As text' }).click()

  await page.getByRole('button', { name: '3 · show' }).click()
  await page.getByRole('button', { name: 'Retry' }).first().focus()
  await page.keyboard.press('Enter')
  await until(async () => (await page.getByRole('button', { name: 'Retry' }).count()) === 2)
  await until(async () => (await focus()) === 'Retry', { message: 'the next letter has the focus' })
  await checkShape()

  await page.getByRole('button', { name: 'Stop …' }).focus()
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog')
  await dialog.getByRole('textbox').waitFor()
  await checkShape()
  await shoot('dialog-light')
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'hidden' })
  assert.equal(await focus(), 'Stop …', 'the focus is back')
  assert.equal(first.signal.aborted, false, 'nothing was stopped')
  await page.keyboard.press('Enter')
  await dialog.getByRole('textbox').fill('seen enough')
  await page.keyboard.press('Enter')
  await until(() => first.signal.aborted)
  await first.complete()
  await page.locator('.pill', { hasText: 'stopped' }).waitFor()
  await page.locator('.timeline', { hasText: 'stopped: seen enough' }).waitFor()
  await page.locator('.mark', { hasText: 'stopped: seen enough' }).waitFor()

  await Promise.all(consumers.map((consumer) => consumer?.return()))
  await page.getByRole('link', { name: 'Engine' }).click()
  await page.getByRole('heading', { name: 'Append time' }).waitFor()
  await until(async () =>
    /p99 [\d.]+ (µs|ms)/.test((await page.locator('.charts').last().textContent()) ?? ''),
  )
  // Each answer has what the page shows.
  for (let polls = 0; polls < 2; polls++) await page.waitForResponse(/api\/look/)
  assert.equal(await page.getByRole('heading', { name: 'Append time' }).isVisible(), true)
  await checkShape()
  await shoot('engine-light', true)
  await page.getByRole('link', { name: 'Finished queue' }).click()
  await page.getByText('No group waits for finished answers').waitFor()
  await checkShape()

  await page.emulateMedia({ colorScheme: 'dark' })
  for (const [name, hash] of [
    ['list', '#/'],
    ['stream', `#/stream?id=${id}`],
    ['engine', '#/engine'],
  ]) {
    await page.goto(url + hash)
    await page
      .locator(name === 'list' ? 'tbody tr' : name === 'stream' ? '.timeline li' : '.chart .now')
      .first()
      .waitFor()
    await checkShape()
    await shoot(`${name}-dark`)
  }
  await page.setViewportSize({ width: 390, height: 844 })
  await page.emulateMedia({ colorScheme: 'light' })
  for (const [name, hash] of [
    ['list', '#/'],
    ['stream', `#/stream?id=${id}`],
    ['engine', '#/engine'],
    ['finished', '#/finished'],
  ]) {
    await page.goto(url + hash)
    await page
      .locator(
        { list: 'tbody tr', stream: '.timeline li', engine: '.chart .now', finished: '.card' }[name] ?? '',
      )
      .first()
      .waitFor()
    await checkShape()
    if (name === 'list') {
      assert.ok(((await row.getByRole('link').boundingBox())?.width ?? 0) > 200, 'the id is seen')
      const lag = row.locator('td[data-of="Lag"]')
      assert.equal(await lag.isVisible(), false)
      await page.getByLabel('Sort by').selectOption('Lag')
      await lag.waitFor()
      await checkShape()
      await page.getByLabel('Sort by').selectOption('Size')
      await page.getByRole('button', { name: 'Descending' }).click()
      await page.getByRole('button', { name: 'Ascending' }).waitFor()
      await until(async () => (await page.locator('tbody a').first().textContent()) === 'chat-lagoon-1259', {
        message: 'the smallest comes first',
      })
    }
    await shoot(`${name}-phone`)
  }
  assert.deepEqual(complaints, [])
  await page.close()
})

test('an empty store says how to begin; what is hostile is text; without payloads and writes neither is offered', async () => {
  const { engine, url } = await start()
  const { page, shoot, checkShape, complaints } = await openTab(url)
  await page.getByRole('heading', { name: 'No streams yet' }).waitFor()
  await checkShape()
  await shoot('empty-light')
  const producer = await engine.produce(HOSTILE, { owner: HOSTILE })
  producer.write(HOSTILE)
  await producer.flush()
  const link = page.locator('tbody a')
  await link.waitFor()
  assert.match((await link.textContent()) ?? '', /^<img src=x.*\\u\{202e\}<script>/)
  await link.click()
  await page.locator('.player .line').first().waitFor()
  assert.equal(await page.locator('.player .data').count(), 0, 'no payloads')
  assert.equal(await page.getByRole('button', { name: /Stop|Delete|As text/ }).count(), 0)
  await producer.fail(new Error(HOSTILE))
  await page.locator('.timeline', { hasText: 'failed' }).waitFor()
  await checkShape()
  assert.match(await page.title(), /Tidemark inspector$/)
  assert.equal(await page.locator('img[src="x"], main script').count(), 0)
  assert.deepEqual(complaints, [])

  const showing = await start({ showData: true })
  await (await showing.engine.produce(HOSTILE)).append(HOSTILE)
  await page.goto(`${showing.url}#/stream?id=${encodeURIComponent(HOSTILE)}`)
  await page.locator('.player .data', { hasText: '<img src=x' }).waitFor()
  await page.getByRole('button', { name: 'As text' }).click()
  await page.locator('.prose', { hasText: '<script>' }).waitFor()
  assert.equal(await page.locator('img[src="x"], main script').count(), 0)
  assert.match(await page.title(), /Tidemark inspector$/)
  await page.goto(`${showing.url}#/stream?id=${encodeURIComponent('another')}`)
  await page.getByRole('heading', { name: 'There is no such stream' }).waitFor()
  await checkShape()
  assert.deepEqual(complaints, [])
  await page.close()
})

test('G10 an owner is shown their own streams, and no numbers of others', async () => {
  const { engine, url } = await start({ authorize: () => ({ owner: 'ann' }) })
  for (const owner of ['ann', 'bob']) await (await engine.produce(`of ${owner}`, { owner })).append('x')
  const { page, checkShape, complaints } = await openTab(url)
  await page.getByText('1 stream', { exact: true }).waitFor()
  assert.equal(await page.locator('tbody a').textContent(), 'of ann')
  await page.getByText('Only streams of ann are shown.').waitFor()
  await page.getByRole('link', { name: 'Engine' }).click()
  await page.getByText('the numbers here are of yours alone').waitFor()
  await checkShape()
  assert.deepEqual(complaints, [])
  await page.close()
})

test('what is clicked while an answer is on its way counts: that answer is not shown', async () => {
  const { engine, url } = await start()
  for (let index = 0; index < 60; index++) await engine.produce(`chat ${index}`)
  const { page, complaints } = await openTab(url)
  await page.getByText('60 streams, page 1 of 2').waitFor()
  /** Lets the answer go on its way. */
  let release = () => {}
  let held = 0
  await page.route('**/api/look?*', async (route) => {
    if (held++ === 0)
      await new Promise((resolve) => {
        release = () => resolve(undefined)
      })
    await route.continue()
  })
  await until(() => held > 0)
  await page.getByRole('button', { name: 'Next' }).click()
  release()
  await page.getByText('60 streams, page 2 of 2').waitFor()
  assert.equal(await page.locator('tbody tr').count(), 10)
  assert.deepEqual(complaints, [])
  await page.close()
})

test('a search, and the list after Stop or Delete, have what is there by then; other questions come seldom', async () => {
  const { engine, url } = await start({ write: true })
  for (let index = 0; index < 210; index++) await engine.produce(`chat ${index}`)
  const { page, complaints } = await openTab(url)
  /** @type {URL[]} */
  const asked = []
  page.on('request', (request) => void asked.push(new URL(request.url())))
  const next = async () => {
    const from = asked.length
    return until(() => asked.slice(from).find(({ pathname }) => pathname.endsWith('/api/look')))
  }
  await page.getByText('210 streams').waitFor()
  assert.equal((await next()).searchParams.get('fresh'), null)
  await page.getByRole('searchbox').fill('chat 20')
  await page.getByText('11 of 210 streams').waitFor()
  assert.equal(asked.filter(({ searchParams }) => searchParams.has('fresh')).length, 1, 'one survey')
  await page.getByRole('link', { name: 'chat 209' }).click()
  await page.getByRole('button', { name: 'Delete …' }).click()
  await page.getByRole('button', { name: 'Delete it' }).click()
  await page.getByRole('heading', { name: 'There is no such stream' }).waitFor()
  const list = next()
  await page.getByRole('link', { name: '← All streams' }).click()
  assert.equal((await list).searchParams.get('fresh'), '1')
  await page.getByText('10 of 209 streams').waitFor()

  await page.getByRole('link', { name: 'Engine' }).click()
  await page.getByRole('heading', { name: 'Append time' }).waitFor()
  const began = async () => (await page.waitForResponse(/api\/look/)).request().timing().startTime
  const before = await began()
  assert.ok((await began()) - before > 2_000, 'every three seconds with so many')
  assert.deepEqual(complaints, [])
  await page.close()
})

test('a thousand streams at 10,000 chunks a second: the page answers at once, and shows what is so', async () => {
  const { engine, url } = await start()
  const producers = await Promise.all(
    Array.from({ length: 1_000 }, (_, index) => engine.produce(`busy ${index}`)),
  )
  let turn = 0
  const begun = performance.now()
  const timer = setInterval(() => {
    for (let count = 0; count < 100; count++)
      producers[turn++ % 1_000]?.write('a chunk of some forty characters, as many')
  }, 10)
  // A busy machine's timers come late, and fewer are written.
  const perSecond = () => (turn / (performance.now() - begun)) * 1_000
  try {
    const { page, complaints } = await openTab(url)
    await page.getByText('1,000 streams, page 1 of 20').waitFor()
    await page.getByRole('button', { name: 'Next' }).click()
    await page.getByText('page 2 of 20').waitFor({ timeout: 2_000 })
    const tile = page.locator('.tile dd').first()
    const shown = async () => Number((await tile.textContent())?.replace(/\D/g, ''))
    await until(async () => (await shown()) > perSecond() / 5, {
      timeout: 20_000,
      message: () => `a rate of ${Math.round(perSecond())} chunks a second is shown`,
    })
    await page.getByRole('searchbox').fill('busy 77')
    await page.getByText('11 of 1,000 streams').waitFor({ timeout: 3_000 })
    await page.getByRole('link', { name: 'busy 777' }).click()
    await until(async () => (await page.locator('.player .line').count()) > 20, { timeout: 5_000 })
    assert.deepEqual(complaints, [])
    await page.close()
  } finally {
    clearInterval(timer)
  }
})
