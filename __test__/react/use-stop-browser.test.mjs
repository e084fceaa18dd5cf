// `useStop` of `tidemark/react` in a real browser, with React 18 and 19.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createEngine } from 'tidemark'
import { chatRoutes } from 'tidemark/next'
import { startBrowser } from '../support/browser.mjs'
import { answering, serveChat } from '../support/chat-server.mjs'
import { bundle, reactPackages } from '../support/react.mjs'
import { until } from '../support/wait.mjs'

const browser = await startBrowser()
const engine = createEngine({ url: 'memory:' })
after(() => engine.close())

const HTML =
  '<!doctype html><link rel=icon href=data:,><div id=root></div><script type=module src=/page.js></script>'

for (const version of /** @type {const} */ ([19, 18])) {
  const modules = reactPackages(version)
  describe(`useStop, React ${version}`, {
    skip: modules === undefined && 'npm has no React 18 at the moment',
    timeout: 60_000,
  }, () => {
    /** A page that has been loaded, and the answers that its server gives. @param {import('node:test').TestContext} t */
    async function open(t) {
      // However slow the browser is, its answers go on until they are stopped.
      const answers = answering({ pauseMs: 500 })
      const routes = chatRoutes({
        engine,
        authorize: (_, chatId) => (chatId.startsWith('foreign') ? null : 'ann'),
        generate: answers.generate,
      })
      const script = await bundle(fileURLToPath(new URL('stop-page.mjs', import.meta.url)), String(modules))
      const files = new Map([
        ['/', HTML],
        ['/page.js', script],
      ])
      const { origin, requests } = await serveChat(t, routes, undefined, files)
      const page = await browser.newPage()
      t.after(() => page.close())
      await page.goto(origin)
      await page.waitForFunction('globalThis.start')
      return { page, answers, requests }
    }

    test('G6 it ends the answer by the transport by which the chat was asked, and resolves when the server is told', async (t) => {
      const { page, answers, requests } = await open(t)
      const [id, other] = [randomUUID(), randomUUID()]
      await page.evaluate(`start({ chatId: '${id}' })`)
      await page.evaluate(`ask(new TidemarkChatTransport(), '${other}')`)
      await page.evaluate(`ask(new TidemarkChatTransport(), '${id}')`)
      await page.getByRole('button').click()
      await until(async () => (await page.evaluate('outcomes.length')) === 1)
      assert.deepEqual(await page.evaluate('outcomes'), [undefined])
      // As after the hook's own `stop`.
      assert.equal(await page.evaluate('end'), 'AbortError')
      assert.deepEqual(
        answers.signals.map(({ aborted }) => aborted),
        [false, true],
      )
      assert.deepEqual(
        requests.filter((request) => request.startsWith('DELETE')),
        [`DELETE /api/chat/${id}/stream`],
      )
      // It looks for the transport when it is called, not when it is rendered.
      await page.evaluate(`setChat({ chatId: '${other}' })`)
      await page.getByText(`Stop ${other}`).click()
      await until(() => answers.signals[0]?.aborted)
    })

    test('one function for a chat and its transport, however often it is rendered', async (t) => {
      const { page } = await open(t)
      const distinct = () => page.evaluate('new Set(given).size')
      await page.evaluate("start({ chatId: 'one' })")
      await page.getByText('Stop one').waitFor()
      const first = await distinct()
      for (const chat of ["{ chatId: 'one' }", "{ chatId: 'one', transport: undefined }"]) {
        const renders = await page.evaluate('given.length')
        await page.evaluate(`setChat(${chat})`)
        await until(async () => Number(await page.evaluate('given.length')) > Number(renders))
      }
      assert.equal(await distinct(), first)
      await page.evaluate("setChat({ chatId: 'two' })")
      await page.getByText('Stop two').waitFor()
      assert.ok(Number(await distinct()) > Number(first))
    })

    test('a transport that is given is asked; what cannot be stopped rejects, and says why', async (t) => {
      const { page, requests } = await open(t)
      const clicked = async () => {
        const count = Number(await page.evaluate('outcomes.length'))
        await page.getByRole('button').click()
        await until(async () => Number(await page.evaluate('outcomes.length')) > count)
        return /** @type {any} */ (page.evaluate('outcomes.at(-1)'))
      }
      await page.evaluate(
        "start({ chatId: 'given', transport: { stop: async (id) => { globalThis.stopped = id } } })",
      )
      assert.equal(await clicked(), undefined)
      assert.equal(await page.evaluate('stopped'), 'given')
      assert.deepEqual(requests, [])
      await page.evaluate("setChat({ chatId: 'unasked' })")
      await page.getByText('Stop unasked').waitFor()
      assert.match((await clicked()).message, /no TidemarkChatTransport has been asked for this chat/)
      await page.evaluate("setChat({ chatId: 'foreign', transport: new TidemarkChatTransport() })")
      await page.getByText('Stop foreign').waitFor()
      const { code, status } = await clicked()
      assert.deepEqual([code, status], ['ERR_FORBIDDEN', 403])
    })
  })
}
