// What holds for the SDK's own hook, `useChat`, with `tidemark/ai` in a real browser, on connections that are cut.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createEngine } from 'tidemark'
import { chatRoutes } from 'tidemark/next'
import { answering, CHUNKS, serveChat, TEXT } from '../support/chat-server.mjs'
import { bundle, reactPackages } from '../support/react.mjs'
import { createRandom } from '../support/seed.mjs'
import { until } from '../support/wait.mjs'

const engine = createEngine({ url: 'memory:' })
after(() => engine.close())

export const HTML =
  '<!doctype html><link rel=icon href=data:,><div id=root></div><script type=module src=/page.js></script>'

/** @type {ReadonlyMap<string, string>} */
const BEGINNINGS = new Map([
  ['start-step', 'step-start'],
  ['reasoning-start', 'reasoning'],
  ['tool-input-start', 'tool-tide'],
  ['text-start', 'text'],
  ['data-place', 'data-place'],
  ['file', 'file'],
])
/** The kinds of the answer's parts, in order. */
export const KINDS = CHUNKS.flatMap(({ type }) => BEGINNINGS.get(type) ?? [])

/** The packages of each version. */
const PACKAGES = {
  5: { hook: 'ai-sdk-react-2', sdk: 'ai-5' },
  6: { hook: 'ai-sdk-react-3', sdk: 'ai-6' },
  7: { hook: '@ai-sdk/react', sdk: 'ai' },
}

/** What the page runs, with the hook of a version. @param {5 | 6 | 7} version */
export function scriptOf(version) {
  const { hook, sdk } = PACKAGES[version]
  const page = fileURLToPath(new URL('chat-page.mjs', import.meta.url))
  return bundle(page, String(reactPackages(19)), { alias: { '@ai-sdk/react': hook, ai: sdk } })
}

/** Registers the tests of a version. @param {import('playwright-core').BrowserContext} browser @param {5 | 6 | 7} version */
export function testUseChat(browser, version) {
  describe(`useChat of ai ${version}`, { timeout: 90_000 }, () => {
    const script = scriptOf(version)

    /**
     * A page with a chat whose connections are cut.
     * @param {import('node:test').TestContext} t
     * @param {Parameters<typeof serveChat>[2]} cut
     */
    async function open(t, cut, pauseMs = 3) {
      const answers = answering({ pauseMs })
      const routes = chatRoutes({ engine, authorize: () => 'ann', generate: answers.generate })
      const files = new Map([
        ['/', HTML],
        ['/page.js', await script],
      ])
      const { origin, requests } = await serveChat(t, routes, cut, files)
      const page = await browser.newPage()
      t.after(() => page.close())
      const complaints = /** @type {string[]} */ ([])
      page.on('pageerror', (error) => complaints.push(String(error)))
      page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
      await page.goto(`${origin}/#${randomUUID()}`)
      await page.getByText('Send').waitFor()
      const isReady = () =>
        until(async () => (await page.getAttribute('main', 'data-status')) === 'ready', { timeout: 30_000 })
      return {
        page,
        answers,
        requests,
        isReady,
        async send() {
          await page.getByText('Send').click()
          // The status before is `ready` too.
          await until(() => page.evaluate("statuses.includes('submitted')"))
        },
        /** Waits for text. @param {number} length */
        hasMoreThan: (length) =>
          until(
            async () => (await page.locator('.assistant .text').allTextContents()).join('').length > length,
          ),
        /** One message, each part once, the model's text, and no complaint. */
        async isWhole() {
          await isReady()
          assert.equal(await page.locator('article').count(), 2)
          assert.equal((await page.locator('.assistant .text').allTextContents()).join(''), TEXT)
          const kinds = await page.evaluate('chat.messages[1].parts.map(({ type }) => type)')
          assert.deepEqual(kinds, KINDS)
          assert.equal(await page.locator('b').count(), 0)
          assert.deepEqual(await page.evaluate('errors'), [])
          assert.deepEqual(
            complaints.filter((text) => !/net::ERR_|Failed to load resource/.test(text)),
            [],
          )
          assert.equal(answers.calls(), 1)
        },
      }
    }

    for (const how of /** @type {const} */ (['reset', 'end', 'silence'])) {
      test(`cuts of a kind (${how}): one message, each part once, and nothing of it is seen`, async (t) => {
        const random = createRandom(version)
        const [most, longest] = how === 'silence' ? [2, 2_500] : [50, 400]
        let cuts = 0
        const { page, send, isWhole } = await open(t, () => {
          // The first silence comes when there is something to be seen: by its end, the rest is there, and comes at once.
          const shortest = how === 'silence' && cuts === 0 ? 300 : 1
          return cuts++ < most ? { after: random.int(shortest, longest), how } : undefined
        })
        await send()
        await isWhole()
        assert.ok(cuts > (how === 'silence' ? 2 : 10), `${cuts} responses`)
        const statuses = /** @type {string[]} */ (await page.evaluate('statuses'))
        const asked = statuses.slice(statuses.indexOf('streaming'))
        assert.deepEqual([...new Set(asked)], ['streaming', 'ready'])
      })
    }

    test('a reload in mid-answer: the page has kept a part, and gets the rest through cuts', async (t) => {
      let cuts = 0
      const { page, send, hasMoreThan, isWhole, requests } = await open(
        t,
        (method) =>
          method === 'GET' && cuts++ < 4 ? { after: 600, how: cuts % 2 ? 'reset' : 'end' } : undefined,
        40,
      )
      await send()
      await hasMoreThan(50)
      await page.reload()
      // What was kept is shown, and ready, before the hook asks for the rest.
      await until(() => page.evaluate("statuses.includes('streaming')"))
      await isWhole()
      assert.ok(requests.some((request) => request.includes('seen=')))
    })

    test('G6 Stop ends the model call, and the part that was there stays', async (t) => {
      // Slow enough that no browser misses it.
      const { page, send, hasMoreThan, answers, isReady } = await open(t, () => undefined, 100)
      await send()
      await hasMoreThan(50)
      await page.getByText('Stop').click()
      await isReady()
      await until(() => answers.signals[0]?.aborted)
      const text = (await page.locator('.assistant .text').allTextContents()).join('')
      assert.ok(text.length > 50 && text.length < TEXT.length && TEXT.startsWith(text), text)
      assert.deepEqual(await page.evaluate('errors'), [])
    })
  })
}
