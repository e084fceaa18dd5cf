// `npm run bench`: sets up what is missing, Redis included, then runs the benchmarks with these arguments.

import { YES } from './consent.mjs'
import { launch } from './launch.mjs'
import { findRedis } from './redis.mjs'
import { runMain, setup } from './setup.mjs'

await runMain(async () => {
  await setup(['npm', 'native', 'typescript', 'redis'])
  process.env.REDIS_SERVER = findRedis()?.path
  return launch(['bench/run.mjs', ...process.argv.slice(2).filter((arg) => arg !== YES)])
})
