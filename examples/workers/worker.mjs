// A worker: `node worker.mjs <stream id> <question>`. REDIS_URL, OPENAI_API_KEY and OPENAI_BASE_URL as usual.

import OpenAI from 'openai'
import { createEngine } from 'tidemark'
import { feed } from './feed.mjs'

const [streamId = 'answer', input = 'Why is the sky blue?'] = process.argv.slice(2)
const engine = createEngine()
await feed(engine, new OpenAI(), streamId, { model: process.env.OPENAI_MODEL ?? 'gpt-5-mini', input })
await engine.close()
