// The browsers' process: reads a response of each stream and throws it away.

import { Agent, get } from 'node:http'
import { answerWords, task } from '../lib/worker.mjs'
import { streamId } from '../live/load.mjs'

const { port, streams, fan } = task()
const agent = new Agent({ maxSockets: Number.POSITIVE_INFINITY })

/** @param {string} id */
const readOne = (id) =>
  new Promise((resolve, reject) => {
    const request = get({ port, host: '127.0.0.1', path: `/${id}`, agent }, (response) => {
      response.resume()
      response.on('end', resolve)
      response.on('error', reject)
    })
    request.on('error', reject)
  })

const read = Promise.all(
  Array.from({ length: streams * fan }, (_, index) => readOne(streamId(index % streams))),
)

answerWords({
  async finish() {
    await read
    return 'read'
  },
})
process.send?.('reading')
