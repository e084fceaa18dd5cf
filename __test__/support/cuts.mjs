// The table of docs/next.md: what the SDK's own chat of `ai` 7 has of an answer whose connections are cut, with each transport as it comes.

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createEngine } from 'tidemark'
import { TidemarkChatTransport } from 'tidemark/ai'
import { chatRoutes } from 'tidemark/next'
import { findWorkflowClient } from '../../scripts/workflow-client.mjs'
import { openChat, textOf, userMessage, wordAnswer } from './ai.mjs'
import { serveChat } from './chat-server.mjs'
import { deadline } from './wait.mjs'

const CORNER = 'the connection is'
const WORDS = Array.from({ length: 120 }, (_, index) => `wörd ${index} 🌊 `)
const TEXT = WORDS.join('')
/** Between two words: an answer takes a second, and no part of what is shown depends on it. */
const PAUSE_MS = 5
const SILENCE_MS = 750
const owner = 'ann'

/** @typedef {{ cut: import('./chat-server.mjs').Cut, cuts?: number, away?: number | 'until the end' }} Scene */

/** @type {Readonly<Record<string, Scene>>} */
export const SCENES = {
  'reset after every 7 chunks': { cut: { events: 7, how: 'reset' } },
  'ended cleanly after every 7 chunks': { cut: { events: 7, how: 'end' } },
  // Each wave is four bytes.
  'reset in the middle of a character': { cut: { after: 1_000, at: (byte) => byte >= 0xf0, how: 'reset' } },
  'ended in the middle of a line': { cut: { events: 9, further: 12, how: 'end' } },
  'reset 50 times': { cut: { events: 2, how: 'reset' }, cuts: 50 },
  'reset once, and away for 0.5 s': { cut: { events: 20, how: 'reset' }, cuts: 1, away: 500 },
  'ended once, and away until the answer has ended': {
    cut: { events: 20, how: 'end' },
    cuts: 1,
    away: 'until the end',
  },
  'silent after 20 chunks': { cut: { events: 20, how: 'silence' }, cuts: 1 },
}

/** The columns. @returns {Promise<Record<string, (api: string, id: string) => object>>} */
async function transports() {
  const [{ DefaultChatTransport }, { WorkflowChatTransport }] = await Promise.all([
    import('ai'),
    import(/** @type {string} */ (findWorkflowClient())),
  ])
  return {
    "the SDK's default": (api) => new DefaultChatTransport({ api }),
    '`WorkflowChatTransport`': (api, id) =>
      new WorkflowChatTransport({
        api,
        prepareSendMessagesRequest: (/** @type {any} */ { messages }) => ({ body: { id, messages } }),
      }),
    '`TidemarkChatTransport`': (api) => new TidemarkChatTransport({ api, silenceMs: SILENCE_MS }),
  }
}

/** A row of the table. @param {{ after: (end: () => unknown) => unknown }} t @param {string} name */
export async function rowOf(t, name) {
  const { cut, cuts = Number.POSITIVE_INFINITY, away = 0 } = /** @type {Scene} */ (SCENES[name])
  const sdk = await import('ai')
  const engine = createEngine({ url: 'memory:' })
  t.after(() => engine.close())
  const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  const routes = chatRoutes({
    engine,
    authorize: () => owner,
    generate: wordAnswer(WORDS, pause),
    workflowRuns: true,
  })

  const columns = Object.values(await transports()).map(async (transportOf) => {
    const id = randomUUID()
    let [count, refused, backAt] = [0, 0, Number.NEGATIVE_INFINITY]
    const isAway = async () => {
      if (away === 0 || count === 0) return false
      const isOver =
        away === 'until the end' ? (await engine.status(id))?.state !== 'active' : Date.now() > backAt
      // However slow a client is to ask again, it meets nobody.
      return refused++ === 0 || !isOver
    }
    const cutNext = () => {
      if (count++ >= cuts) return undefined
      backAt = Date.now() + Number(away)
      return cut
    }
    const { api } = await serveChat(t, routes, cutNext, new Map(), isAway)
    const errors = /** @type {unknown[]} */ ([])
    const onError = (/** @type {unknown} */ error) => errors.push(error)
    const chat = openChat(sdk, { id, transport: transportOf(api, id), onError })
    return { chat, errors, asked: chat.sendMessage(userMessage('hello')).then(() => true) }
  })
  const all = await Promise.all(columns)
  // The last one goes on by itself from a connection that is silent: who has nothing by then waits for ever.
  const isWhole = all.at(-1)?.asked.then(() => false)
  const waited = (/** @type {{ asked: Promise<boolean> }} */ { asked }) =>
    cut.how === 'silence' ? Promise.race([asked, isWhole]) : asked
  const cells = all.map(async (each) => cellOf(each, await deadline(waited(each), 60_000, name)))
  const row = await Promise.all(cells)
  await Promise.all(all.map(({ chat }) => chat.stop()))
  return row
}

/** @param {{ chat: any, errors: unknown[] }} outcome @param {boolean} isOver */
function cellOf({ chat: { messages, status }, errors }, isOver) {
  const text = textOf(messages[1])
  const told = errors.length > 0 || status === 'error' ? 'an error' : 'no word of it'
  const percent = `${Math.floor((100 * text.length) / TEXT.length)} %`
  if (!isOver) return `${percent}, and waits`
  const parts = messages[1]?.parts.filter((/** @type {any} */ { type }) => type === 'text').length ?? 0
  if (text === TEXT)
    return parts === 1 && told !== 'an error' ? '**whole**' : `whole, in ${parts} parts, ${told}`
  return text.length > TEXT.length ? `parts of it twice, ${told}` : `${percent}, ${told}`
}

/** The table's lines, as they are in the page. @param {ReadonlyMap<string, string[]>} rows */
export async function tableOf(rows) {
  const columns = Object.keys(await transports())
  const line = (/** @type {string[]} */ cells) => `| ${cells.join(' | ')} |`
  return [
    line([CORNER, ...columns]),
    `|${'---|'.repeat(columns.length + 1)}`,
    ...Array.from(rows, ([name, cells]) => line([name, ...cells])),
  ]
}

/** The lines that docs/next.md has. */
export function documented() {
  const lines = readFileSync(new URL('../../docs/next.md', import.meta.url), 'utf8').split('\n')
  const begin = lines.findIndex((line) => line.startsWith(`| ${CORNER} |`))
  return lines.slice(begin, lines.indexOf('', begin))
}
