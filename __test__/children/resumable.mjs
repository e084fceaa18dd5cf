// A process that makes a stream with the drop-in, in the way its first argument says; it never ends one by itself.

import { createClient } from 'redis'
import { createEngine } from 'tidemark'
import { createResumableStreamContext } from 'tidemark/resumable-stream'

const [, , name = '', keyPrefix = 'child'] = process.argv
/** @param {string} type @param {object} [fields] */
const send = (type, fields) => process.send?.({ type, ...fields })

/** @type {Record<string, () => Promise<unknown>>} */
const scripts = {
  /** Contexts that are never used. */
  async idle() {
    for (let count = 0; count < 3; count++) createResumableStreamContext({ waitUntil: null, keyPrefix })
    // Neither is a client that is not connected.
    const client = createClient({ url: process.env.REDIS_URL })
    createResumableStreamContext({ waitUntil: null, keyPrefix, publisher: client, subscriber: client })
  },
  /** A stream from its beginning to its end. */
  async used() {
    const ctx = createResumableStreamContext({ waitUntil: null, keyPrefix })
    const make = () => new ReadableStream({ start: (controller) => controller.close() })
    const stream = await ctx.createNewResumableStream('used', make)
    for await (const _ of stream ?? []) void _
    send('state', { state: await ctx.hasExistingStream('used') })
  },
  /** A stream whose source never ends; its producer counts as dead after a second. */
  async live() {
    const engine = createEngine({ lease: '1s' })
    const ctx = createResumableStreamContext({ waitUntil: null, keyPrefix, engine })
    const make = () => new ReadableStream({ start: (controller) => controller.enqueue('half of the answer') })
    const stream = await ctx.createNewResumableStream('live', make)
    const reader = stream?.getReader()
    await reader?.read()
    send('written')
    setInterval(() => {}, 1_000)
  },
}

await scripts[name]?.()
send('end')
