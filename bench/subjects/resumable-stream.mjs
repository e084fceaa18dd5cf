// `resumable-stream` of npm, as its documentation says, on ioredis 5: each chunk is a line of JSON.

import { Redis } from 'ioredis-5'
import { createResumableStreamContext } from 'resumable-stream/ioredis'

/** @param {string} url */
export async function contextOf(url) {
  // Any: its types are those of another ioredis 5.
  const [publisher, subscriber] = /** @type {any[]} */ ([new Redis(url), new Redis(url)])
  for (const connection of [publisher, subscriber]) connection.on('error', () => {})
  // A first SUBSCRIBE may come before ioredis' own check that the server is ready.
  await Promise.all([publisher.ping(), subscriber.ping()])
  return createResumableStreamContext({ waitUntil: () => {}, publisher, subscriber })
}

/** @param {string} url @returns {Promise<import('./index.mjs').Client>} */
export async function connect(url) {
  const context = await contextOf(url)
  return {
    async open(id) {
      /** @type {ReadableStreamDefaultController<string> | undefined} */
      let controller
      const stream = new ReadableStream({
        start(own) {
          controller = own
        },
      })
      const response = await context.createNewResumableStream(id, () => stream)
      // The client that asked first reads too, as a browser does.
      const read = response && drain(response)
      return {
        write(event) {
          controller?.enqueue(`${JSON.stringify(event)}\n`)
          return undefined
        },
        async end() {
          controller?.close()
          await read
        },
      }
    },
    async consume(id, on) {
      const stream = await context.resumeExistingStream(id)
      if (!stream) throw new Error('no stream to resume')
      for await (const text of stream) {
        // A message holds one line, or, at first, all that came before.
        for (const line of text.split('\n')) if (line) on(JSON.parse(line))
      }
    },
  }
}

/** @param {ReadableStream<string>} stream */
async function drain(stream) {
  for await (const _ of stream);
}
