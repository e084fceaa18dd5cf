// G9: what one read costs Redis does not depend on what the frames look like.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { startRedis } from '../support/redis-server.mjs'
import { follow, readAll } from '../support/streams.mjs'

const MIB = 1 << 20

for (const compression of [true, false]) {
  test(`G9 long chunks after short ones are read in pages, ${compression ? '' : 'not '}sealed`, async (t) => {
    const redis = await startRedis()
    const engine = createEngine({ url: redis.url, compression })
    const { admin } = redis
    const memory = async (/** @type {string} */ name) => Number((await admin.info('memory'))[name])
    const producer = await engine.produce('chat')
    const chunks = Array.from({ length: 1_100 }, (_, index) => `token ${index}`)
    // Nothing that could be made shorter.
    const long = Buffer.from(Array.from({ length: MIB }, () => Math.floor(Math.random() * 256)))
    for (const chunk of chunks) await producer.append(chunk)
    for (let count = 0; count < 30; count++) await producer.append(long)

    const used = await memory('used_memory')
    await admin.cmd('CONFIG', 'RESETSTAT')
    const before = await memory('used_memory_peak')
    assert.ok(before - used < 8 * MIB, 'what was written has left no room to hide in')
    for (let reader = 0; reader < 4; reader++) {
      await follow(engine, 'chat', { each: () => false }).end()
      await follow(engine, 'chat', { from: `${producer.generation}.1000`, each: () => false }).end()
    }
    const peak = (await memory('used_memory_peak')) - used
    t.diagnostic(`${(peak / MIB).toFixed(1)} MiB`)
    assert.ok(peak < 16 * MIB, `${peak} bytes`)

    await producer.complete()
    const all = await readAll(engine, 'chat')
    assert.equal(all.outcome, 'complete')
    assert.deepEqual(
      all.chunks.slice(0, 1_100).map(({ data }) => data),
      chunks,
    )
    assert.ok(all.chunks.slice(1_100).every(({ data }) => long.equals(Buffer.from(data))))
    assert.equal(all.chunks.length, 1_130)
    await engine.close()
    await redis.close()
  })
}
