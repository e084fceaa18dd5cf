// `npm run bench`: sets up what is missing, Redis included, then runs the benchmarks with these arguments; those of
// server-sent events when the first one is `sse`.

import { YES } from './consent.mjs'
import { launch } from './launch.mjs'
import { findRedis } from './redis.mjs'
import { runMain, setup } from './setup.mjs'

await runMain(async () => {
  await setup(['npm', 'native', 'typescript', 'redis'])
  process.env.REDIS_SERVER = findRedis()?.path
  const args = process.argv.slice(2).filter((arg) => arg !== YES)
  const [first, ...rest] = args
  if (first === 'sse') return launch(['bench/sse/run.mjs', ...rest])
  return launch(['bench/run.mjs', ...args])
})
