// Compiled, not run (`npm run lint`): our store is what assistant-ui takes.

import {
  type ResumableStreamErrorCode as Code,
  createResumableStreamContext,
  type ResumableStreamStore,
} from 'assistant-stream/resumable'
import type { Engine } from 'tidemark'
import {
  type AssistantUiStore,
  type AssistantUiStoreOptions,
  assistantUiStore,
  ResumableStreamError,
} from 'tidemark/assistant-ui'

declare const engine: Engine

const store: ResumableStreamStore = assistantUiStore(engine)
const whole: AssistantUiStore = assistantUiStore(engine, { ttl: '1h', prefix: 'answers:', owner: 'ann' })
createResumableStreamContext({ store: { ...store } })
const acquired = await whole.acquireLease('a', { ttlMs: 60_000 })
if (acquired.role === 'producer') await whole.append('a', new Uint8Array(1), acquired.lease)
const code: Code = new ResumableStreamError('missing', 'x').code
const options: AssistantUiStoreOptions = { maxChunkBytes: 1024 }
// @ts-expect-error: no such option
assistantUiStore(engine, { ...options, keyPrefix: 'x' })
// @ts-expect-error: bytes
await whole.append('a', code)
