// The table of docs/next.md: what the SDK's own chat gets of an answer whose connections are cut, with the SDK's default
// transport, with `WorkflowChatTransport` and with Tidemark's. `ai` 7, this machine, the same server and the same cuts for all.
//
//   node scripts/cuts.mjs            on Node.js 22; the second's package is installed into .cache/workflow

import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { openChat, textOf, userMessage } from '../__test__/support/ai.mjs'
import { setup } from './setup.mjs'
import { findWorkflowClient } from './workflow-client.mjs'

await setup(['workflow'])
const [sdk, { WorkflowChatTransport }, { createEngine }, { chatRoutes }, { TidemarkChatTransport }] =
  await Promise.all([
    import('ai'),
    import(/** @type {string} */ (findWorkflowClient())),
    import('tidemark'),
    import('tidemark/next'),
    import('tidemark/ai'),
  ])

const WORDS = Array.from({ length: 120 }, (_, index) => `wörd ${index} 🌊 `)
const engine = createEngine({ url: 'memory:' })
const owner = 'ann'
const routes = chatRoutes({ engine, authorize: () => owner, generate })

async function* generate(/** @type {any} */ { messageId }) {
  yield { type: 'start', messageId }
  for (const id of ['t', 'u']) {
    yield { type: 'text-start', id }
    for (const delta of id === 't' ? WORDS.slice(0, 60) : WORDS.slice(60)) {
      yield { type: 'text-delta', id, delta }
      await sleep(10)
    }
    yield { type: 'text-end', id }
  }
  yield { type: 'finish' }
}

/** @typedef {{ after: (piece: Buffer, sent: number) => number, how: 'reset' | 'end' | 'silence' }} Cut */

/** Cuts after every `chunks` chunks, or `further` bytes later, within a character or a line. @param {number} chunks @param {Cut['how']} how */
const every = (chunks, how, further = 0) => ({
  how,
  after(/** @type {Buffer} */ all) {
    let at = 0
    for (let count = 0; count < chunks; count++) {
      at = all.indexOf('\n\n', at)
      if (at < 0) return Number.POSITIVE_INFINITY
      at += 2
    }
    return at + further
  },
})
const withinCharacter = {
  how: /** @type {const} */ ('reset'),
  after(/** @type {Buffer} */ all) {
    const at = all.indexOf('🌊', 1_000)
    return at < 0 ? Number.POSITIVE_INFINITY : at + 2
  },
}

/** @type {Record<string, { cut: Cut, cuts?: number, awayMs?: number }>} */
const SCENES = {
  'reset after every 7 chunks': { cut: every(7, 'reset') },
  'ended cleanly after every 7 chunks': { cut: every(7, 'end') },
  'reset in the middle of a character': { cut: withinCharacter },
  'ended in the middle of a line': { cut: every(9, 'end', 12) },
  'reset 50 times': { cut: every(2, 'reset'), cuts: 50 },
  'reset once, and away for 0.5 s': { cut: every(20, 'reset'), cuts: 1, awayMs: 500 },
  'ended once, and away until the answer has ended': { cut: every(20, 'end'), cuts: 1, awayMs: 2_500 },
  'silent after 20 chunks': { cut: every(20, 'silence'), cuts: 1 },
}

/** A server whose answers are cut. @param {{ cut: Cut, cuts?: number, awayMs?: number }} scene */
async function serve({ cut, cuts = Number.POSITIVE_INFINITY, awayMs = 0 }) {
  let count = 0
  let back = 0
  const server = createServer(async (incoming, outgoing) => {
    if (Date.now() < back) return incoming.socket.destroy()
    const { method = 'GET', url = '/' } = incoming
    const at = new URL(url, 'http://localhost')
    const body = method === 'POST' ? Readable.toWeb(incoming) : undefined
    const request = new Request(at, /** @type {any} */ ({ method, body, duplex: 'half' }))
    const params = { id: at.pathname.split('/')[3] ?? '' }
    const index = at.searchParams.get('startIndex')
    let response
    if (method === 'POST') response = await routes.POST(request)
    else response = index === null ? await routes.GET(request, { params }) : indexed(params.id, Number(index))
    const chat = at.searchParams.get('run')
    outgoing.writeHead(response.status, {
      ...Object.fromEntries(response.headers),
      ...(chat && { 'x-workflow-run-id': chat }),
    })
    if (response.body === null) return outgoing.end()
    let all = Buffer.alloc(0)
    let sent = 0
    const reader = response.body.getReader()
    outgoing.on('close', () => void reader.cancel().catch(() => {}))
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }))
      if (done) return outgoing.end()
      all = Buffer.concat([all, value])
      const limit = count < cuts ? cut.after(all, sent) : Number.POSITIVE_INFINITY
      outgoing.write(all.subarray(sent, Math.min(limit, all.length)))
      sent = all.length
      if (limit > all.length) continue
      count++
      back = Date.now() + awayMs
      // Lets the client get what was written.
      await sleep(5)
      if (cut.how === 'reset') return outgoing.destroy()
      if (cut.how === 'end') return outgoing.end()
      return
    }
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)))
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
  return { server, origin: `http://127.0.0.1:${port}` }
}

/** An answer's chunks from number `index` on, as `WorkflowChatTransport` requests them. @param {string} id @param {number} index */
function indexed(id, index) {
  async function* events() {
    let count = 0
    for await (const { data } of engine.subscribe(id, { owner, from: 'start' })) {
      if (count++ >= index) yield new TextEncoder().encode(`data: ${data}\n\n`)
    }
    yield new TextEncoder().encode('data: [DONE]\n\n')
  }
  return new Response(ReadableStream.from(events()), { headers: { 'content-type': 'text/event-stream' } })
}

/** @type {Record<string, (origin: string, id: string) => object>} */
const TRANSPORTS = {
  'the SDK’s default': (origin) => new sdk.DefaultChatTransport({ api: `${origin}/api/chat` }),
  WorkflowChatTransport: (origin, id) =>
    new WorkflowChatTransport({
      api: `${origin}/api/chat`,
      prepareSendMessagesRequest: (/** @type {any} */ { messages }) => ({
        api: `${origin}/api/chat?run=${id}`,
        body: { id, messages },
      }),
    }),
  TidemarkChatTransport: (origin) =>
    new TidemarkChatTransport({ api: `${origin}/api/chat`, silenceMs: 1_500 }),
}

/** The cell of the table. @param {any} chat @param {boolean} isOver @param {Error[]} errors */
function verdict({ messages, status }, isOver, errors) {
  const text = textOf(messages[1])
  const told = errors.length > 0 || status === 'error' ? 'an error' : 'no word of it'
  if (!isOver) return `${Math.floor((100 * text.length) / WORDS.join('').length)} %, and waits`
  const parts = messages[1]?.parts.filter((/** @type {any} */ { type }) => type === 'text').length ?? 0
  if (text === WORDS.join(''))
    return parts === 2 && errors.length === 0 ? '**whole**' : `whole, in ${parts} parts, ${told}`
  if (text.length > WORDS.join('').length) return `parts of it twice, ${told}`
  return `${Math.floor((100 * text.length) / WORDS.join('').length)} %, ${told}`
}

// Requests that are still waiting fail when their server is closed.
process.on('unhandledRejection', () => {})
process.on('uncaughtException', () => {})
console.warn = () => {}
const names = Object.keys(TRANSPORTS)
console.log(`| the connection is | ${names.join(' | ')} |\n|---|${names.map(() => '---').join('|')}|`)
for (const [name, scene] of Object.entries(SCENES)) {
  const cells = await Promise.all(
    Object.values(TRANSPORTS).map(async (transportOf, index) => {
      const { server, origin } = await serve(scene)
      const id = `${name.replaceAll(/\W+/g, '-')}-${index}`
      /** @type {Error[]} */
      const errors = []
      const onError = (/** @type {Error} */ error) => errors.push(error)
      const chat = openChat(sdk, { id, transport: transportOf(origin, id), onError })
      const isOver = await Promise.race([
        chat.sendMessage(userMessage('hello')).then(() => true),
        sleep(15_000, false, { ref: false }),
      ])
      server.closeAllConnections()
      server.close()
      return verdict(chat, isOver, errors)
    }),
  )
  console.log(`| ${name} | ${cells.join(' | ')} |`)
}
await engine.close()
process.exit()
