// Responses that end before the answer does: a client of the AI SDK must not take that for the answer's end.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { beforeEach, describe, test } from 'node:test'
import { chatRoutes, resumeResponse } from 'tidemark/next'
import { alsoWithAi7, loadSdk, openChat, textOf, userMessage, VERSIONS } from '../support/ai.mjs'
import { gate } from '../support/gate.mjs'
import { PATIENT } from '../support/patient.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const owner = 'ann'
const START = [
  { type: 'start', messageId: 'm' },
  { type: 'text-start', id: 't' },
]
const END = [{ type: 'text-end', id: 't' }, { type: 'finish' }]
const word = (index) => ({ type: 'text-delta', id: 't', delta: `word ${index} ` })
const TEXT = Array.from({ length: 20 }, (_, index) => `word ${index} `).join('')

/** An answer that pauses after ten words until it may go on. */
function pausing() {
  const { open: pass, opened } = gate()
  async function* generate() {
    yield* START
    for (let index = 0; index < 20; index++) {
      if (index === 10) await opened
      yield word(index)
    }
    yield* END
  }
  return { generate, pass }
}

/** Reads a response as text, from now on. */
function reading(response) {
  const seen = { text: '', error: undefined }
  const read = async () => {
    try {
      for await (const piece of response.body.pipeThrough(new TextDecoderStream())) seen.text += piece
    } catch (error) {
      seen.error = error
    }
    return seen
  }
  return { seen, ending: read() }
}
const read = (response) => reading(response).ending
/** Waits for what there is of an answer that pauses. */
const hasPaused = ({ seen }) => until(() => seen.text.includes('word 9 '))

eachStore('next-cuts', (store) => {
  const open = useEngines(store)
  let id = ''
  beforeEach(() => {
    id = randomUUID()
  })
  const post = () =>
    new Request('http://localhost/', {
      method: 'POST',
      body: JSON.stringify({ messages: [userMessage('hello')] }),
    })
  const get = () => new Request('http://localhost/')
  const at = () => ({ params: { id } })

  test('maxDurationMs breaks the responses of UI messages, all of them, and ends other event streams', async () => {
    const { generate, pass } = pausing()
    const engine = open()
    const limit = { maxDurationMs: 700 }
    const { POST, GET } = chatRoutes({ engine, authorize: () => owner, generate, ...limit })
    const respond = {
      POST: () => POST(post(), at()),
      GET: () => GET(get(), at()),
      resumeResponse: () => resumeResponse(engine, get(), id, { owner, ...limit }),
      respond: () => engine.respond(get(), id, { owner, format: 'ui-messages', ...limit }),
      toSSE: () => new Response(engine.subscribe(id, { owner }).toSSE({ format: 'ui-messages', ...limit })),
    }
    // Each at once: to one that does not read nothing is sent.
    const all = []
    for (const [name, begin] of Object.entries(respond)) all.push({ name, ending: read(await begin()) })
    for (const { name, ending } of all) {
      const { text, error } = await deadline(ending, 20_000, `${name} ends`)
      assert.match(text, /word 9 /, name)
      assert.doesNotMatch(text, /DONE|"(error|abort|finish)"/, name)
      assert.equal(error?.code, 'ERR_CLOSED', name)
      assert.equal(error.retryable, true)
    }
    const events = await read(await engine.respond(get(), id, { owner, ...limit }))
    assert.deepEqual([events.error, /event: end/.test(events.text)], [undefined, false])
    pass()
    const rest = await read(
      await engine.respond(get(), id, { owner, format: 'ui-messages', maxDurationMs: 60_000 }),
    )
    assert.equal(rest.error, undefined)
    assert.match(rest.text, /"finish".*\n\ndata: \[DONE\]\n\n$/s, 'an end that comes in time is one')
  })

  test('G5 a closing engine breaks them too; its readers elsewhere are told how the answer ended', async () => {
    const [here, there] = [open(), open()]
    const { generate } = pausing()
    const routes = (engine) => chatRoutes({ engine, authorize: () => owner, generate })
    const asked = await routes(here).POST(post(), at())
    const [local, remote] = [await routes(here).GET(get(), at()), await routes(there).GET(get(), at())]
    const events = await here.respond(get(), id, { owner })
    const all = [asked, local, remote, events].map(reading)
    await Promise.all(all.map(hasPaused))
    await here.close()
    const ends = Promise.all(all.map(({ ending }) => ending))
    const [posted, got, told, plain] = await deadline(ends, 20_000, 'they end')
    for (const { text, error } of [posted, got]) {
      assert.match(text, /word 9 /)
      assert.ok(error !== undefined || /"errorText":"interrupted: closed"/.test(text))
    }
    assert.equal(told.error, undefined)
    assert.match(told.text, /"errorText":"interrupted: closed"/)
    assert.equal(plain.error, undefined)
    // What comes later finds out.
    const late = await routes(there).GET(new Request('http://localhost/?after=user-hello'), at())
    assert.match((await read(late)).text, /"errorText":"interrupted: closed"/)
  })

  test('a reader of an answer that another server gives is cut off, and the answer goes on', async () => {
    const [here, there] = [open(), open()]
    const { generate, pass } = pausing()
    await (
      await chatRoutes({ engine: here, authorize: () => owner, generate }).POST(post(), at())
    ).body.cancel()
    const resumed = reading(await resumeResponse(there, get(), id, { owner }))
    await hasPaused(resumed)
    await there.close()
    assert.equal((await resumed.ending).error?.code, 'ERR_CLOSED')
    pass()
    await until(async () => (await here.status(id))?.state === 'complete')
  })

  test('a signal of the application breaks them, whether it comes before or after the beginning', async () => {
    const { generate, pass } = pausing()
    const engine = open()
    await (await chatRoutes({ engine, authorize: () => owner, generate }).POST(post(), at())).body.cancel()
    const controller = new AbortController()
    const { signal } = controller
    const resumed = reading(await resumeResponse(engine, get(), id, { owner, signal }))
    await hasPaused(resumed)
    controller.abort()
    assert.equal((await resumed.ending).error?.code, 'ERR_CLOSED')
    assert.equal(
      (await read(await resumeResponse(engine, get(), id, { owner, signal }))).error?.code,
      'ERR_CLOSED',
    )
    pass()
  })

  for (const version of VERSIONS) {
    describe(`ai ${version}`, () => {
      test('a chat whose connections are cut again and again has the whole answer, once', async (t) => {
        const sdk = await loadSdk(version)
        let cuts = 0
        async function* generate() {
          yield* START
          for (let index = 0; index < 20; index++) {
            // Each cut comes in mid-answer, however late it is.
            if (index % 5 === 4) await until(() => cuts > Math.floor(index / 5))
            yield word(index)
          }
          yield* END
        }
        const engine = open()
        const routes = chatRoutes({ engine, authorize: () => owner, generate, maxDurationMs: 150 })
        const server = createServer(PATIENT, async (incoming, outgoing) => {
          const { method, url } = incoming
          const body = method === 'POST' ? Readable.toWeb(incoming) : undefined
          const request = new Request(`http://localhost${url}`, { method, body, duplex: 'half' })
          const response = await (method === 'POST' ? routes.POST(request) : routes.GET(request, at()))
          outgoing.writeHead(response.status, Object.fromEntries(response.headers))
          if (response.body === null) return outgoing.end()
          await pipeline(Readable.fromWeb(response.body), outgoing).catch(() => {})
        })
        await once(server.listen(0, '127.0.0.1'), 'listening')
        t.after(() => server.close())
        t.after(() => server.closeAllConnections())
        const origin = `http://127.0.0.1:${server.address().port}`
        const chat = openChat(sdk, {
          id,
          fetch: (path, init) => fetch(new URL(path, origin), init),
          onError: () => {
            cuts += 1
          },
          transport: {
            prepareReconnectToStreamRequest: () => ({ api: `/api/chat/${id}/stream?after=user-hello` }),
          },
        })
        // What docs/next.md has the page do.
        const isCutOff = () => chat.status === 'error' && chat.error instanceof TypeError
        await chat.sendMessage(userMessage('hello'))
        assert.ok(isCutOff(), 'half an answer is not taken for the whole')
        await until(async () => {
          if (isCutOff()) await chat.resumeStream()
          return chat.status === 'ready'
        })
        assert.ok(cuts > 2, `${cuts} cuts`)
        assert.equal(chat.messages.length, 2)
        assert.equal(textOf(chat.messages[1]), TEXT)
        // One that is over, before it was asked for again.
        const late = openChat(sdk, {
          id,
          messages: [userMessage('hello')],
          fetch: (path, init) => fetch(new URL(path, origin), init),
          transport: {
            prepareReconnectToStreamRequest: () => ({ api: `/api/chat/${id}/stream?after=user-hello` }),
          },
        })
        await late.resumeStream()
        assert.equal(textOf(late.messages[1]), TEXT)
      })
    })
  }
})

alsoWithAi7(import.meta.url)
