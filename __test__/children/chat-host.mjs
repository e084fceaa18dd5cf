// A server of a chat's routes that can be killed, or told to end. It says when its model is called, and when that is done. While it is told to hold, its
// model says ten words and waits for a Stop, or until it is told to go on.

import { createEngine } from '../../dist/index.mjs'
import { chatRoutes } from '../../dist/next.mjs'
import { answering, serveChat } from '../support/chat-server.mjs'
import { gate } from '../support/gate.mjs'

const { url, keyPrefix, lease, pauseMs } = JSON.parse(process.env.HOST ?? '{}')
const engine = createEngine({ url, keyPrefix, lease, closeOnSignals: ['SIGTERM'] })
let { open: goOn, opened } = gate()
goOn()
process.on('message', (/** @type {any} */ { holds }) => {
  goOn()
  if (holds) ({ open: goOn, opened } = gate())
  process.send?.({ type: 'told' })
})
const answers = answering({ pauseMs, hold: () => opened })
const routes = chatRoutes({
  engine,
  authorize: () => 'ann',
  async *generate(input) {
    process.send?.({ type: 'called' })
    yield* answers.generate(input)
    process.send?.({ type: 'done' })
  },
})
const { origin } = await serveChat({ after() {} }, routes)
process.send?.({ type: 'listening', port: Number(new URL(origin).port) })
