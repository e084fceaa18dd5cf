// The ceiling: the rate that Redis reaches in its own benchmark.

import { execFile } from 'node:child_process'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { findRedis } from '../../scripts/redis.mjs'
import { which } from '../../scripts/steps.mjs'
import { LeftOut } from '../lib/left-out.mjs'

/** @param {import('../lib/scene.mjs').Scene} scene @param {import('./run.mjs').Burst} burst */
export async function redisBenchmark(scene, { streams, chunks, bytes = 48 }) {
  const path = [dirname(findRedis()?.path ?? ''), process.env.PATH ?? ''].join(':')
  const program = which('redis-benchmark', path) ?? which('valkey-benchmark', path)
  if (!program) throw new LeftOut('redis-benchmark is not on PATH')
  const count = streams * chunks
  const key = streams === 1 ? 'burst' : 'burst-__rand_int__'
  const args = [
    '-p',
    `${scene.redis.port}`,
    '-n',
    `${count}`,
    '-r',
    `${streams}`,
    '-c',
    '1',
    '-P',
    '64',
    '--csv',
  ]
  const watching = await scene.watch()
  const { stdout } = await promisify(execFile)(program, [...args, 'XADD', key, '*', 'd', 'x'.repeat(bytes)], {
    timeout: 60_000,
  })
  const server = await watching.end()
  const [, rate] = /^"XADD[^"]*","([\d.]+)"/m.exec(stdout) ?? []
  if (!rate) throw new Error(`redis-benchmark says no rate: ${stdout}`)
  return {
    rate: Number(rate),
    redisUs: server.redisUs / count,
    chunks: count,
    found: count,
    ...server.besides(Number.NaN),
  }
}
