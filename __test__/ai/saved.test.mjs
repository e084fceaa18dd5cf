// `tidemark/ai/saved`: pages that have kept a part of an answer get the rest, in `ai` 5, 6 and 7.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { TidemarkChatTransport } from 'tidemark/ai'
import { savedAnswer } from 'tidemark/ai/saved'
import { chatRoutes } from 'tidemark/next'
import { alsoWithAi7, loadSdk, openChat, textOf, userMessage, VERSIONS } from '../support/ai.mjs'
import { bundled } from '../support/bundle.mjs'
import { CHUNKS, serveChat } from '../support/chat-server.mjs'
import { gate } from '../support/gate.mjs'
import { createRandom } from '../support/seed.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/** An answer that waits after so many chunks until it is let go. @param {readonly object[]} chunks @param {number} count */
function held(chunks, count) {
  const { open, opened } = gate()
  return {
    open,
    async *generate() {
      for (const [index, chunk] of chunks.entries()) {
        if (index === count) await opened
        yield chunk
      }
    },
  }
}

/** A text, a thought and a call's input that come at the same time. */
const WOVEN = [
  { type: 'start', messageId: 'm' },
  { type: 'start-step' },
  { type: 'reasoning-start', id: 'r' },
  { type: 'text-start', id: 't' },
  { type: 'file', url: 'data:text/plain,hello', mediaType: 'text/plain' },
  { type: 'text-delta', id: 't', delta: 'one ' },
  { type: 'reasoning-delta', id: 'r', delta: 'first ' },
  { type: 'tool-input-start', toolCallId: 'c', toolName: 'tide' },
  { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '{"harbour":' },
  { type: 'text-delta', id: 't', delta: 'two ' },
  { type: 'reasoning-delta', id: 'r', delta: 'second' },
  { type: 'reasoning-end', id: 'r' },
  { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '"Kiel"}' },
  { type: 'text-delta', id: 't', delta: 'three' },
  { type: 'text-end', id: 't' },
  { type: 'tool-input-available', toolCallId: 'c', toolName: 'tide', input: { harbour: 'Kiel' } },
  { type: 'tool-output-available', toolCallId: 'c', output: { height: 3 } },
  { type: 'text-start', id: 'u' },
  { type: 'text-delta', id: 'u', delta: ' four' },
  { type: 'text-end', id: 'u' },
  { type: 'finish-step' },
  { type: 'finish' },
]

/** All that a message has of each kind. @param {any} message */
function told({ parts }) {
  const of = (/** @type {string} */ kind) =>
    parts
      .filter((/** @type {any} */ { type }) => type === kind)
      .map((/** @type {any} */ { text }) => text ?? '')
  const calls = parts.filter((/** @type {any} */ { type }) => type.startsWith('tool-'))
  return {
    text: of('text').join(''),
    thoughts: of('reasoning').join(''),
    steps: of('step-start').length,
    files: of('file').length,
    calls: calls.map((/** @type {any} */ { input, output }) => ({ input, output })),
  }
}

/** What a message is in a database and back. @param {any} value */
const stored = (value) => JSON.parse(JSON.stringify(value))

eachStore('a kept part of an answer', (store) => {
  const open = useEngines(store)

  for (const version of VERSIONS) {
    describe(`ai ${version}`, () => {
      /**
       * Begins an answer, of which `count` chunks are there; `comeBack` is a page that has kept this message.
       * @param {import('node:test').TestContext} t @param {readonly object[]} chunks @param {number} count
       * @param {(method: string) => any} [cut]
       */
      async function begun(t, chunks, count, cut) {
        const sdk = await loadSdk(version)
        const answer = held(chunks, count)
        const engine = open()
        const routes = chatRoutes({ engine, authorize: () => 'ann', generate: answer.generate })
        const { api, requests } = await serveChat(t, routes, cut)
        const id = randomUUID()
        const asking = openChat(sdk, { id, transport: new TidemarkChatTransport({ api }) })
        const asked = asking.sendMessage(userMessage('hello'))
        const wanted = Math.min(count, chunks.length)
        await until(async () => ((await engine.status(id))?.lastSeq ?? 0) >= wanted)
        return {
          ...answer,
          asked,
          asking,
          requests,
          /** What a page of this chat gets that has kept this message. @param {any} kept @param {object} [options] */
          comeBack(kept, options = {}) {
            const bodies = /** @type {Promise<string>[]} */ ([])
            const told = /** @type {string[]} */ ([])
            const transport = new TidemarkChatTransport({
              api,
              maxRetryMs: 20,
              saved: savedAnswer(() => kept),
              fetch: async (url, init) => {
                const response = await fetch(url, init)
                if (!String(url).includes('seen='))
                  bodies.push(
                    response
                      .clone()
                      .text()
                      .catch(() => ''),
                  )
                return response
              },
            })
            const chat = openChat(sdk, {
              id,
              messages: [userMessage('hello'), kept],
              transport,
              onToolCall: (/** @type {any} */ { toolCall }) => told.push(toolCall.toolCallId),
              ...options,
            })
            return { chat, told, wire: async () => (await Promise.all(bodies)).join('') }
          },
        }
      }

      /** The message after each chunk, as a page keeps it. @param {readonly object[]} chunks */
      async function states(chunks) {
        const sdk = await loadSdk(version)
        const found = /** @type {any[]} */ ([])
        for (let count = 1; count <= chunks.length; count++) {
          const stream = ReadableStream.from(chunks.slice(0, count))
          let message
          for await (message of sdk.readUIMessageStream({ stream }));
          found.push(message && stored(message))
        }
        return found
      }

      test('from any place: the rest alone is sent, and there is one message, each part once', async (t) => {
        const all = await states(CHUNKS)
        const random = createRandom(version)
        // At the last ones there is nothing left. Those within a call's input and where a text begins are the ones to go wrong.
        const places = all.slice(0, -3).flatMap((kept, index) => {
          const { type } = /** @type {{ type: string }} */ (CHUNKS[index])
          const isChosen = type === 'tool-input-delta' || type === 'text-start' || random.int(1, 12) === 1
          return kept && isChosen ? [{ kept, index }] : []
        })
        assert.ok(places.length >= 4, `${places.length} places`)
        for (const { kept, index } of places) {
          // More has been written by the time that the page is back.
          const scene = await begun(t, CHUNKS, index + 1 + random.int(0, 5))
          const { chat, wire } = scene.comeBack(kept)
          const resumed = chat.resumeStream()
          await until(() => scene.requests.some((request) => request.includes('cursor=')))
          scene.open()
          await Promise.all([resumed, scene.asked])
          const where = `after chunk ${index}, ${JSON.stringify(CHUNKS[index])}`
          assert.deepEqual([chat.status, chat.error, chat.messages.length], ['ready', undefined, 2], where)
          assert.deepEqual(
            stored(chat.messages[1].parts).map(withoutId),
            all.at(-1).parts.map(withoutId),
            where,
          )
          const body = await wire()
          assert.doesNotMatch(body, /"type":"start"/, where)
          const deltas = body.match(/"type":"text-delta"/g)?.length ?? 0
          const left = CHUNKS.slice(index + 1).filter(({ type }) => type === 'text-delta').length
          assert.equal(deltas, left, where)
        }
      })

      test('through cuts, and with what it has to say of itself: what is kept is shown at once', async (t) => {
        const all = await states(CHUNKS)
        const random = createRandom(version)
        let cuts = 0
        const at = CHUNKS.findIndex(({ type }) => type === 'text-delta') + 12
        const scene = await begun(t, CHUNKS, at + 1, (method) =>
          method === 'GET' && cuts++ < 20
            ? { after: random.int(1, 500), how: cuts % 2 ? 'reset' : 'end' }
            : undefined,
        )
        const { chat } = scene.comeBack(all[at])
        const resumed = chat.resumeStream()
        await until(() => chat.status === 'streaming')
        scene.open()
        await Promise.all([resumed, scene.asked])
        assert.ok(cuts > 5)
        assert.deepEqual(stored(chat.messages[1].parts).map(withoutId), all.at(-1).parts.map(withoutId))
        assert.equal(chat.messages.length, 2)
      })

      test('an answer that has ended meanwhile: its rest; one that the page has as a whole: nothing', async (t) => {
        const all = await states(CHUNKS)
        const scene = await begun(t, CHUNKS, CHUNKS.length)
        await scene.asked
        const at = CHUNKS.findIndex(({ type }) => type === 'text-delta') + 3
        const { chat, told } = scene.comeBack(all[at])
        await chat.resumeStream()
        assert.deepEqual([chat.status, chat.messages.length], ['ready', 2])
        assert.deepEqual(stored(chat.messages[1].parts).map(withoutId), all.at(-1).parts.map(withoutId))
        assert.deepEqual(told, [], 'a call that has its output is not made again')
        const count = scene.requests.length
        const whole = scene.comeBack(stored(scene.asking.messages[1]))
        await whole.chat.resumeStream()
        assert.deepEqual(whole.chat.messages[1], stored(scene.asking.messages[1]))
        assert.equal(await whole.wire(), '')
        assert.equal(scene.requests.length, count + 2)
      })

      for (const [name, change] of /** @type {[string, (part: any) => any][]} */ ([
        ['as it was', (part) => part],
        [
          'changed by the page, so that all of it is sent',
          (part) => ({ ...part, mine: true, state: part.state && 'done' }),
        ],
      ])) {
        test(`within a call's input, beside an open text and thought (${name}): nothing comes twice`, async (t) => {
          const all = await states(WOVEN)
          for (const [index, kept] of all.entries()) {
            const isWithin = kept?.parts.some((/** @type {any} */ { state }) => state === 'input-streaming')
            if (!isWithin) continue
            const isCall = (/** @type {any} */ { type }) => type.startsWith('tool-')
            const parts = kept.parts.map((/** @type {any} */ part) => (isCall(part) ? part : change(part)))
            const scene = await begun(t, WOVEN, index + 2)
            const { chat } = scene.comeBack({ ...kept, parts })
            const resumed = chat.resumeStream()
            await until(() => scene.requests.some((request) => /^GET (?!.*seen=)/.test(request)))
            scene.open()
            await Promise.all([resumed, scene.asked])
            const where = `after chunk ${index}, ${JSON.stringify(chat.messages[1])}`
            assert.deepEqual([chat.status, chat.error, chat.messages.length], ['ready', undefined, 2], where)
            assert.deepEqual(told(chat.messages[1]), told(all.at(-1)), where)
          }
        })
      }

      test('what was stopped or is of another answer, and what is no part of this one: as without it', async (t) => {
        const all = await states(CHUNKS)
        const at = CHUNKS.findIndex(({ type }) => type === 'text-delta') + 3
        const others = [
          { ...all[at], parts: all[at].parts.filter((/** @type {any} */ { type }) => type !== 'step-start') },
          { ...all[at], parts: [...all[at].parts, { type: 'text', text: 'mine', state: 'streaming' }] },
        ]
        for (const kept of others) {
          const scene = await begun(t, CHUNKS, at + 5)
          const { chat, wire } = scene.comeBack(kept)
          const resumed = chat.resumeStream()
          await until(() => textOf(chat.messages[1]).length > 0 && chat.status === 'streaming')
          scene.open()
          await Promise.all([resumed, scene.asked])
          assert.equal(chat.messages.length, 2)
          assert.deepEqual(stored(chat.messages[1].parts).map(withoutId), all.at(-1).parts.map(withoutId))
          assert.match(await wire(), /"type":"start"/)
        }
        const scene = await begun(t, CHUNKS, at + 5)
        const { chat } = scene.comeBack({ ...all[at], id: 'before' })
        const resumed = chat.resumeStream()
        await until(() => chat.messages.length === 3)
        scene.open()
        await Promise.all([resumed, scene.asked])
        assert.deepEqual(stored(chat.messages[2].parts).map(withoutId), all.at(-1).parts.map(withoutId))
      })
    })
  }
})

/** Each reader names a thought by itself. @param {any} part */
function withoutId({ id, ...part }) {
  return part.type === 'reasoning' ? part : { id, ...part }
}

test('it takes less than 2.8 kB in a bundle, compressed, and imports nothing', async () => {
  const { code, size } = await bundled('ai/saved')
  assert.doesNotMatch(code, /\bimport\b|require\(/)
  assert.ok(size < 2_800, `${size} bytes`)
})

alsoWithAi7(import.meta.url)
