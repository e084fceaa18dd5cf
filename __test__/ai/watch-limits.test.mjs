// Watching in browsers that forbid what tabs need to find each other, and with messages that cannot be sent between them.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { TidemarkChatTransport } from 'tidemark/ai'
import { watch } from 'tidemark/ai/watch'
import { chatRoutes } from 'tidemark/next'
import { reactive } from 'vue'
import { fetchOf, userMessage, wordAnswer } from '../support/ai.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/** Replaces a global for the time of a test. @param {import('node:test').TestContext} t @param {string} name @param {unknown} value */
function replaced(t, name, value) {
  const before = Object.getOwnPropertyDescriptor(globalThis, name)
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  t.after(() => {
    if (before === undefined) Reflect.deleteProperty(globalThis, name)
    else Object.defineProperty(globalThis, name, before)
  })
}

const refused = () => new DOMException('The request was denied.', 'SecurityError')

eachStore('watching where little is allowed', (store) => {
  const open = useEngines(store)

  /** Tabs of one browser that show a chat. @param {import('node:test').TestContext} t @param {number} count */
  function tabs(t, count, { headers = () => ({}) } = {}) {
    const id = randomUUID()
    const generate = wordAnswer(['The tide. '], async () => {})
    const fetch = fetchOf(chatRoutes({ engine: open(), authorize: () => 'ann', generate }))
    let watching = 0
    // Chats of one server would share what is of the tab.
    const each = Array.from({ length: count }, () => {
      const api = `/api/chat?tab=${randomUUID()}`
      const transport = new TidemarkChatTransport({
        api,
        watch: true,
        headers,
        fetch: async (url, init) => {
          if (String(url).includes('watch=')) watching++
          return fetch(url, init)
        },
        prepareReconnectToStreamRequest: ({ id }) => ({ api: `/api/chat/${id}/stream` }),
        maxRetryMs: 50,
      })
      const chat = {
        id,
        status: 'ready',
        messages: /** @type {any[]} */ ([]),
        /** Answers that were read to their ends: a reader that is left goes on when the engine is closed. */
        resumed: 0,
        async resumeStream() {
          const chunks = await transport.reconnectToStream({ chatId: id })
          await chunks?.pipeTo(new WritableStream())
          chat.resumed++
        },
      }
      t.after(watch(chat, transport))
      return { chat, transport }
    })
    const ask = async (/** @type {any} */ transport, /** @type {any} */ message) => {
      const request = { chatId: id, messages: [message], trigger: 'submit-message' }
      await (await transport.sendMessages(request)).pipeTo(new WritableStream())
    }
    return { each, ask, watching: () => watching, elsewhere: new TidemarkChatTransport({ fetch }) }
  }

  /** Each tab shows what is asked elsewhere. @param {ReturnType<typeof tabs>} opened */
  async function follows({ each, ask, elsewhere, watching }) {
    await until(() => watching() >= each.length)
    await ask(elsewhere, userMessage('one'))
    for (const { chat } of each) await until(() => chat.resumed === 1 && chat.messages[0]?.id === 'user-one')
  }

  test('locks that are refused, as where a page may store nothing: the tabs elect one that leads', async (t) => {
    let asked = 0
    const request = async () => {
      asked++
      throw refused()
    }
    replaced(t, 'navigator', { locks: { request } })
    await follows(tabs(t, 1))
    assert.equal(asked, 1)
  })

  const broken = class {
    constructor() {
      throw refused()
    }
  }
  for (const [how, channel] of Object.entries({ missing: undefined, refused: broken })) {
    test(`no channel between tabs (${how}): each watches by itself`, async (t) => {
      // Another tab has the lock of this server, for as long as it lives.
      const request = async (/** @type {string} */ name, /** @type {any} */ _, /** @type {any} */ work) =>
        /tab=[\w-]+$/.test(name) ? new Promise(() => {}) : work()
      replaced(t, 'navigator', { locks: { request } })
      replaced(t, 'BroadcastChannel', channel)
      await follows(tabs(t, 2))
    })
  }

  test('a message in the wrapping of a framework (Vue) is sent, and told to the other tabs', async (t) => {
    const { each, ask, watching } = tabs(t, 1)
    await until(() => watching() > 0)
    const [{ transport }] = /** @type {[any]} */ (each)
    await ask(transport, reactive({ ...userMessage('one'), metadata: { at: 1 } }))
  })

  test('headers that cannot be had at first are asked for again', async (t) => {
    let failures = 3
    const headers = () => {
      if (failures-- > 0) throw new Error('no token yet')
      return {}
    }
    await follows(tabs(t, 1, { headers }))
  })
})
