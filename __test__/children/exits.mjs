// Scripts that come to their end in different ways; none of them ends itself but one.

import { durableStreams } from '../../dist/durable-streams.mjs'
import { createEngine } from '../../dist/index.mjs'

const [, , name = '', close] = process.argv
const engine = createEngine(JSON.parse(process.env.ENGINE ?? '{}'))
/** @param {string} type @param {object} [fields] */
const send = (type, fields) => process.send?.({ type, ...fields })

/** @type {Record<string, () => Promise<unknown>>} */
const scripts = {
  /** An engine that is never used. */
  async unused() {},
  connected: () => engine.connect(),
  async produce() {
    const producer = await engine.produce('produced')
    producer.write('all')
    await producer.complete()
  },
  async read() {
    let count = 0
    for await (const _ of engine.subscribe('finished')) count += 1
    send('read', { count })
  },
  /** The same, as somebody whose progress is kept. */
  async consume() {
    let count = 0
    for await (const _ of engine.subscribe('finished', { consumer: 'user-1' })) count += 1
    send('read', { count })
  },
  /** A producer that is neither ended nor waited for. */
  async write() {
    const producer = await engine.produce('unfinished', { ifActive: 'takeover' })
    for (let count = 0; count < 3_000; count++) producer.write(`chunk ${count}`)
  },
  /** A producer whose chunks are refused, since another one has taken over. */
  async refused() {
    const producer = await engine.produce('refused', { ifActive: 'takeover' })
    await (await engine.produce('refused', { ifActive: 'takeover' })).complete()
    for (let count = 0; count < 100 && !producer.signal.aborted; count++) producer.write(`chunk ${count}`)
  },
  /** A server's handler, which looks for what is due again and again. */
  async subscribed() {
    const handle = durableStreams({ engine, authorize: () => true, subscriptions: {} })
    const body = JSON.stringify({ type: 'pull-wake', wake_stream: 'wakes', streams: ['x'] })
    const url = 'http://streams.test/v1/stream/__ds/subscriptions/exits'
    const { status } = await handle(new Request(url, { method: 'PUT', body }))
    if (status > 201) throw new Error(`${status}`)
  },
  /** Left in the middle. */
  async leave() {
    for await (const { seq } of engine.subscribe('finished')) if (seq === 2) break
  },
  /** Waits for what others write. */
  async wait() {
    for await (const { data } of engine.subscribe('live')) send('got', { data })
    send('over')
  },
  /** The same, but nothing to stay for. */
  async unref() {
    const subscription = engine.subscribe('live')
    const { value } = await subscription.next()
    send('got', { data: value?.data })
    void subscription.unref().next()
  },
  /** Ends itself with everything under way. */
  async exit() {
    const producer = await engine.produce('exit', { ifActive: 'takeover' })
    const subscription = engine.subscribe('exit')
    producer.append('x').catch(() => {})
    await subscription.next()
    void subscription.next()
    for (let count = 0; count < 1_000; count++) producer.write('x')
    process.exit(7)
  },
  /** Ends with an error, as a bug in a program would. */
  async crash() {
    const producer = await engine.produce('crash', { ifActive: 'takeover' })
    producer.write('x')
    void engine.subscribe('crash').next()
    throw new Error('a bug')
  },
}

await scripts[name]?.()
if (close) await engine.close()
send('end')
