// `REDIS_URL=redis://localhost node examples/workers/main.mjs`: an answer whose workers are killed, one after the other. The reader sees
// one answer. With OPENAI_API_KEY it is OpenAI's, otherwise that of a model that can do nothing else.

import { fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createEngine } from 'tidemark'
import { startModel } from './model.mjs'

if (!process.env.REDIS_URL && !process.env.TIDEMARK_URL) {
  console.error('REDIS_URL is needed: a memory is not shared by processes')
  process.exit(1)
}
const WORDS = Array.from({ length: 150 }, (_, index) => `word ${index + 1} `)
const model = process.env.OPENAI_API_KEY ? undefined : await startModel(WORDS)
const env = model ? { ...process.env, OPENAI_BASE_URL: model.url, OPENAI_API_KEY: 'none' } : process.env
const streamId = `answer-${Date.now()}`
const start = () => fork(fileURLToPath(new URL('worker.mjs', import.meta.url)), [streamId], { env })

const engine = createEngine()
let worker = start()
let isOver = false
const killing = (async () => {
  for (;;) {
    await sleep(1_000)
    if (isOver) return
    worker.kill('SIGKILL')
    process.stdout.write('\n[the worker was killed, another one continues]\n')
    worker = start()
  }
})()
for await (const chunk of engine.subscribe(streamId)) process.stdout.write(chunk.json().delta ?? '')
isOver = true
console.log('\n[the end]')
await killing
await engine.close()
await model?.close()
