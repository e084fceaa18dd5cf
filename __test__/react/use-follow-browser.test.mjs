// `useFollow` of `tidemark/react` in a real browser, with React 18 and 19.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { after, afterEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createEngine } from 'tidemark'
import { startBrowser } from '../support/browser.mjs'
import { bundled } from '../support/bundle.mjs'
import { listening } from '../support/listening.mjs'
import { PATIENT } from '../support/patient.mjs'
import { bundle, reactPackages } from '../support/react.mjs'
import { until } from '../support/wait.mjs'

const browser = await startBrowser()
const engine = createEngine({ url: 'memory:', lease: '1s' })
after(() => engine.close())

/** @type {string} */
let script = ''
/** Readers that are connected. */
let readers = 0
/** Ends each response after so many bytes, if it is not 0. */
let cutAfter = 0
const server = createServer(PATIENT, async (request, response) => {
  const [, kind, id = ''] = request.url?.split(/[/?]/) ?? []
  if (kind === 'script.js') return response.setHeader('content-type', 'text/javascript').end(script)
  if (kind !== 'stream')
    return response
      .setHeader('content-type', 'text/html')
      .end(`<!doctype html><div id=root>${id && decodeURIComponent(id)}</div>`)
  if (request.method === 'DELETE') {
    await engine.stop(id)
    return response.writeHead(204).end()
  }
  readers++
  response.on('close', () => readers--)
  if (cutAfter > 0) {
    let left = cutAfter
    const { write } = response
    response.write = (/** @type {any} */ piece, /** @type {any[]} */ ...rest) => {
      left -= piece.length
      if (left > 0) return write.call(response, piece, ...rest)
      // What is written before is to arrive: a client that never gets anything never gets on.
      const sent = piece.subarray(0, piece.length + left)
      left = 0
      return write.call(response, sent, () => response.destroy())
    }
  }
  await engine.send(request, response, id).catch(() => response.destroy())
})
const origin = `http://127.0.0.1:${await listening(server)}`
/** Those of a test that has failed would read on, and the next tests count readers. @type {Set<import('playwright-core').Page>} */
const pages = new Set()
afterEach(async () => {
  for (const page of pages) await page.close()
  pages.clear()
})

/**
 * @param {string | null} url @param {object} [options] of `start`
 * @param {string} [html] what the server has rendered
 */
async function open(url, options = {}, html = '') {
  const page = await browser.newPage()
  pages.add(page)
  const errors = /** @type {string[]} */ ([])
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  await page.goto(`${origin}/page/${encodeURIComponent(html)}`)
  await page.addScriptTag({ url: `${origin}/script.js`, type: 'module' })
  await page.waitForFunction('globalThis.start')
  await page.evaluate(`start(${JSON.stringify(url)}, ${JSON.stringify(options)})`)
  return {
    page,
    text: () =>
      /** @type {Promise<string>} */ (page.evaluate("document.querySelector('p')?.textContent ?? ''")),
    state: () =>
      /** @type {Promise<any>} */ (
        page.evaluate(
          '({ ...state, chunks: state.chunks.map(({ seq, data }) => [seq, data]), error: state.error?.message, stop: undefined })',
        )
      ),
    /** @param {string} status */
    is: (status) => until(async () => (await page.evaluate('state.status')) === status, { message: status }),
    /** @returns {Promise<number>} */
    renders: () => page.evaluate('renders'),
    async close() {
      assert.deepEqual(
        errors.filter((error) => !/net::ERR_|Failed to load/.test(error)),
        [],
      )
      assert.deepEqual(await page.evaluate('errors'), [])
      await page.close()
      await until(() => readers === 0)
    },
  }
}

for (const version of /** @type {const} */ ([19, 18])) {
  const modules = reactPackages(version)
  describe(`React ${version}`, {
    skip: modules === undefined && 'npm has no React 18 at the moment',
    timeout: 120_000,
  }, () => {
    const prepare = async () => {
      script = await bundle(fileURLToPath(new URL('page.mjs', import.meta.url)), String(modules))
    }
    const started = async () => {
      const id = randomUUID()
      return { id, url: `/stream/${id}`, producer: await engine.produce(id) }
    }

    test('a stream is shown while it comes, as text, chunks and what is made of them, and ends with its outcome', async () => {
      await prepare()
      const { url, producer } = await started()
      const tab = await open(url, { isStrict: true })
      assert.equal(await tab.text(), 'connecting: ')
      await producer.append('The tide ')
      await until(async () => (await tab.text()) === 'streaming: The tide ')
      await producer.append('rises 🌊')
      await producer.complete()
      await tab.is('ended')
      const { error, chunks, ...state } = await tab.state()
      assert.deepEqual(chunks, [
        [1, 'The tide '],
        [2, 'rises 🌊'],
      ])
      assert.equal(error, undefined)
      const { cursor, ...rest } = JSON.parse(JSON.stringify(state))
      assert.deepEqual(rest, { status: 'ended', text: 'The tide rises 🌊', value: 17, outcome: 'complete' })
      assert.match(cursor, /\.2$/)
      await tab.close()
    })

    test('10,000 chunks, at once and one by one: one render a frame, in strict mode two', async () => {
      for (const isStrict of [false, true]) {
        const { url, producer } = await started()
        for (let index = 0; index < 5_000; index++) producer.write(`${index} `)
        await producer.flush()
        const tab = await open(url, { isStrict })
        for (let index = 5_000; index < 10_000; index++) {
          producer.write(`${index} `)
          if (index % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
        }
        await producer.complete()
        await tab.is('ended')
        const { text, value, chunks } = await tab.state()
        assert.equal(text, Array.from({ length: 10_000 }, (_, index) => `${index} `).join(''))
        assert.deepEqual([value, chunks.length], [text.length, 10_000])
        const [renders, frames] = [await tab.renders(), Number(await tab.page.evaluate('frames'))]
        assert.ok(renders <= (isStrict ? 2 : 1) * (frames + 4), `${renders} renders in ${frames} frames`)
        await tab.close()
      }
    })

    test('connections that are cut go on, and a component that leaves hangs up and stops nothing', async (t) => {
      const { id, url, producer } = await started()
      cutAfter = 300
      t.after(() => {
        cutAfter = 0
      })
      const tab = await open(url, { isStrict: true })
      for (let index = 0; index < 30; index++) {
        await producer.append(`word ${index} `)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      const expected = Array.from({ length: 30 }, (_, index) => `word ${index} `).join('')
      // Each cut is followed by a pause of up to a second.
      await until(async () => (await tab.state()).text === expected, { timeout: 30_000 })
      cutAfter = 0
      await tab.page.evaluate('leave()')
      await until(() => readers === 0)
      assert.equal((await engine.status(id))?.state, 'active')
      await producer.complete()
      await tab.close()
    })

    test('stop ends the stream; failed and refused ones are errors; another URL is another stream, null is none', async () => {
      const { id, url, producer } = await started()
      await producer.append('one')
      const tab = await open(url)
      await until(async () => (await tab.text()) === 'streaming: one')
      await tab.page.evaluate('state.stop()')
      await tab.is('ended')
      assert.deepEqual(
        [(await tab.state()).outcome, (await engine.status(id))?.state],
        ['stopped', 'stopped'],
      )
      const other = await started()
      await other.producer.append('two')
      await other.producer.fail(new Error('broken'))
      await tab.page.evaluate(`setUrl(${JSON.stringify(other.url)})`)
      await tab.is('error')
      const failed = await tab.state()
      assert.deepEqual([failed.text, failed.outcome, failed.reason], ['two', 'failed', 'broken'])
      await tab.page.evaluate('setUrl(null)')
      await tab.is('idle')
      assert.equal(await tab.text(), 'idle: ')
      await tab.page.evaluate("setUrl('/page/none')")
      await tab.is('error')
      assert.match((await tab.state()).error, /text\/html/)
      await tab.close()
    })

    test('what it begins with is that of the URL, from the first render on', async () => {
      const [first, second] = [await started(), await started()]
      await second.producer.append('two')
      const tab = await open(`${first.url}?initial=100`)
      await until(async () => (await tab.page.evaluate('state.value')) === 100)
      await tab.page.evaluate(`setUrl('${second.url}?initial=200')`)
      await until(async () => (await tab.text()) === 'streaming: two')
      assert.equal((await tab.state()).value, 203)
      await tab.close()
      for (const { producer } of [first, second]) await producer.complete()
    })

    test('Suspense: what is held back follows nothing, what is hidden again loses nothing', async () => {
      const { url, producer } = await started()
      const tab = await open(url, { isStrict: true, isHeld: true })
      await tab.page.getByText('waiting').waitFor()
      await producer.append('one ')
      assert.equal(readers, 0)
      await tab.page.evaluate('openGate()')
      await until(async () => (await tab.text()) === 'streaming: one ')
      await tab.page.evaluate("setGate('second')")
      await tab.page.getByText('waiting').waitFor()
      await producer.append('two ')
      await tab.page.evaluate('openGate()')
      await producer.append('three')
      await producer.complete()
      await tab.is('ended')
      assert.equal(await tab.text(), 'ended: one two three')
      await tab.close()
    })

    test('a server renders what the hook begins with, and the page takes it over without a complaint', async () => {
      const code = await bundle(fileURLToPath(new URL('server-page.mjs', import.meta.url)), String(modules), {
        platform: 'node',
      })
      const { render } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
      assert.equal(render('/x'), '<p data-status="connecting">connecting: 7function</p>')
      assert.equal(render(null), '<p data-status="idle">idle: 7function</p>')
      const { url, producer } = await started()
      await producer.append('one')
      await producer.complete()
      const tab = await open(
        url,
        { isHydrated: true },
        '<!--$--><p data-status="connecting">connecting: </p><!--/$-->',
      )
      await tab.is('ended')
      assert.equal(await tab.text(), 'ended: one')
      await tab.close()
    })
  })
}

test('it adds less than 1.5 kB to what follows a stream, compressed, and imports nothing but React', async () => {
  const { code, size } = await bundled('react', { names: ['useFollow'] })
  assert.deepEqual([...new Set(code.match(/(?<=from")[^"]+/g))], ['react'])
  const { size: client } = await bundled('client')
  assert.ok(size - client < 1_500, `${size} bytes, of which ${client} are the client's`)
})
