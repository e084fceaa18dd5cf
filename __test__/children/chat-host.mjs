// A server of a chat's routes that can be killed. It says when its model is called, and when that is done. While it is told to hold, its
// model says ten words and waits for a Stop, or until it is told to go on.

import { EventEmitter, once } from 'node:events'
import { createEngine } from '../../dist/index.mjs'
import { chatRoutes } from '../../dist/next.mjs'
import { answering, serveChat } from '../support/chat-server.mjs'

const { url, keyPrefix, lease, pauseMs } = JSON.parse(process.env.HOST ?? '{}')
const engine = createEngine({ url, keyPrefix, lease })
const answers = answering({ pauseMs })
let holds = false
const told = new EventEmitter()
process.on('message', (/** @type {any} */ message) => {
  holds = message.holds
  if (!holds) told.emit('go on')
  process.send?.({ type: 'told' })
})
const routes = chatRoutes({
  engine,
  authorize: () => 'ann',
  async *generate(input) {
    process.send?.({ type: 'called' })
    let words = 0
    for await (const chunk of answers.generate(input)) {
      yield chunk
      if (chunk.type === 'text-delta' && ++words === 10 && holds && !input.signal.aborted)
        await Promise.race([once(input.signal, 'abort'), once(told, 'go on')])
    }
    process.send?.({ type: 'done' })
  },
})
const { origin } = await serveChat({ after() {} }, routes)
process.send?.({ type: 'listening', port: Number(new URL(origin).port) })
