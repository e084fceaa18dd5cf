import { until } from '../../__test__/support/wait.mjs'
import { Scene } from '../lib/scene.mjs'
import { subjectsNamed } from '../live/columns.mjs'

const PEERS = ['handmade-ioredis', 'handmade-ioredis-batch']

/** @type {import('./index.mjs').Scenario} */
export const memory = {
  title: 'Memory in Redis, finished',
  what: 'What Redis holds of a finished stream of 10,000 chunks of one word each, 48 bytes of JSON on average, from a vocabulary of some hundred words: MEMORY USAGE of all of its keys. A quick run has 2,000 chunks, which compress less.',
  subjects: subjectsNamed([...PEERS, 'tidemark']),
  peers: PEERS,
  columns: [
    { head: 'bytes/chunk', digits: 1, of: ({ bytesPerChunk }) => bytesPerChunk },
    { head: 'keys', digits: 0, of: ({ keys }) => keys },
  ],
  aims: [
    {
      what: 'bytes a chunk',
      of: ({ bytesPerChunk }) => bytesPerChunk,
      atMost: 6.5,
      isValue: true,
      unit: 'bytes',
    },
  ],
  checks: [
    { what: 'what was written can be read', holds: ({ found, chunks }) => chunks > 0 && found === chunks },
  ],
  chart: { axis: 'bytes of Redis a chunk', of: ({ bytesPerChunk }) => bytesPerChunk },
  run: ({ subject, isQuick }) =>
    Scene.play(async (scene) => {
      const shape = { streams: 1, chunks: isQuick ? 2_000 : 10_000 }
      const writer = await scene.start(new URL('../burst/writer.mjs', import.meta.url), { subject, ...shape })
      const watch = await scene.watch()
      const wrote = await writer.ask('write', 60_000)
      const { percent, besides } = await watch.end()
      // Work after the end, if there is any, is done when the memory no longer changes.
      let used = { keys: 0, bytes: 0 }
      await until(
        async () => {
          const before = used.bytes
          used = await memoryOf(scene.redis.admin)
          return used.bytes === before
        },
        { interval: 200 },
      )
      const { found } = await writer.ask('readBack', 60_000)
      return {
        keys: used.keys,
        bytesPerChunk: used.bytes / shape.chunks,
        chunks: shape.chunks,
        found,
        ...besides(percent(wrote.processUs)),
      }
    }),
}

/** The memory of the measured stream, without the warm-up's. @param {import('../../__test__/support/resp.mjs').Admin} admin */
async function memoryOf(admin) {
  /** @type {Set<string>} */
  const names = new Set()
  let cursor = '0'
  do {
    const [next, found] = await admin.cmd('SCAN', cursor, 'COUNT', 1000)
    cursor = next
    for (const name of found) if (name.includes('burst-0')) names.add(name)
  } while (cursor !== '0')
  let bytes = 0
  for (const name of names) bytes += await admin.cmd('MEMORY', 'USAGE', name, 'SAMPLES', 0)
  return { keys: names.size, bytes }
}
