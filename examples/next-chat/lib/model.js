// A model that needs no key and no network: it thinks, calls a tool, and then tells a story, 50 tokens a second.
// "300 words" in the question makes the story so long, "at 1000/s" sets the pace; "warn" makes it call the tool that asks first.

import { setTimeout as sleep } from 'node:timers/promises'

const STORY = `Long before there were maps, sailors of the estuary read the tidemark 🌊, the dark line that the last high water leaves on stone. It tells how far the sea has come, whoever was there to see it.

A boat that drifted off in the night would come back, look at the line, and know what it had missed. Nobody had to wait for it, and nothing was told twice.

The keepers of the line had three rules. What is written stays in order. Whoever asks is told everything, once. And when somebody calls stop, the bell falls silent, but the line remains.

Storms came and took the bell, the tower, once even the keeper. In the morning another keeper looked at the stone, found the line, and went on from there. `

const THOUGHTS =
  'The user would like a story. I should look up the tide first, and then tell it from the beginning.'

/** @param {string} question */
export function answerTo(question) {
  const words = Number(/(\d+) words/.exec(question)?.[1] ?? 0)
  const tokens = STORY.match(/\S+\s+/g)
  const story =
    words === 0 ? tokens : Array.from({ length: words }, (_, index) => tokens[index % tokens.length])
  return { story, pace: Number(/at (\d+)\/s/.exec(question)?.[1] ?? 50) }
}

/** What `streamText` takes for a model. @type {import('ai').LanguageModel} */
export const storyteller = {
  specificationVersion: 'v4',
  provider: 'local',
  modelId: 'storyteller',
  supportedUrls: {},
  async doGenerate() {
    throw new Error('the storyteller only streams')
  },
  async doStream({ prompt, abortSignal }) {
    return { stream: ReadableStream.from(paced(prompt, abortSignal)) }
  },
}

async function* paced(prompt, signal) {
  const question = prompt
    .findLast(({ role }) => role === 'user')
    .content.map(({ text }) => text ?? '')
    .join('')
  const { story, pace } = answerTo(question)
  const start = performance.now()
  let count = 0
  console.log('model: call')
  signal?.addEventListener('abort', () => console.log('model: aborted'))
  for (const part of prompt.at(-1).role === 'tool'
    ? tell(story)
    : think(/\bwarn\b/i.test(question) ? 'warn' : 'tide')) {
    const wait = start + (++count * 1000) / pace - performance.now()
    if (wait > 1) await sleep(wait, undefined, { signal })
    yield part
  }
  console.log('model: done')
}

/** @param {'tide' | 'warn'} toolName */
function* think(toolName) {
  yield { type: 'stream-start', warnings: [] }
  yield { type: 'reasoning-start', id: 'thoughts' }
  for (const delta of THOUGHTS.match(/\S+\s*/g)) yield { type: 'reasoning-delta', id: 'thoughts', delta }
  yield { type: 'reasoning-end', id: 'thoughts' }
  const input = JSON.stringify({ harbour: 'Estuary' })
  const id = crypto.randomUUID()
  yield { type: 'tool-input-start', id, toolName }
  yield { type: 'tool-input-delta', id, delta: input }
  yield { type: 'tool-input-end', id }
  yield { type: 'tool-call', toolCallId: id, toolName, input }
  yield finish('tool-calls')
}

function* tell(story) {
  yield { type: 'stream-start', warnings: [] }
  yield { type: 'text-start', id: 'story' }
  for (const delta of story) yield { type: 'text-delta', id: 'story', delta }
  yield { type: 'text-end', id: 'story' }
  yield finish('stop')
}

const finish = (reason) => ({
  type: 'finish',
  finishReason: { unified: reason, raw: undefined },
  usage: {
    inputTokens: { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 0, text: 0, reasoning: 0 },
  },
})
