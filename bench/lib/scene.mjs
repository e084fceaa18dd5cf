// What a run takes place in: a new Redis server, and new processes.

import { startRedis } from '../../__test__/support/redis-server.mjs'
import { subjectNamed } from '../subjects/index.mjs'
import { Cpus } from './measure.mjs'
import { Program } from './program.mjs'
import { Worker } from './worker.mjs'

export class Scene {
  /** @type {(Worker | Program)[]} */
  #workers = []

  /**
   * Runs `play` in a new scene, and ends all of its processes afterwards.
   * @template T
   * @param {(scene: Scene) => Promise<T>} play
   */
  static async play(play) {
    const scene = new Scene(await startRedis({ args: ['--maxclients', '20000'] }))
    try {
      return await play(scene)
    } finally {
      for (const worker of scene.#workers) worker.kill()
      await scene.redis.close()
    }
  }

  /** @param {import('../../__test__/support/redis-server.mjs').RedisServer} redis */
  constructor(redis) {
    this.redis = redis
    /** The same user for every subject: peers have keys that the tests' user may not touch. */
    this.url = redis.adminUrl
  }

  /**
   * Starts a script in a process of its own and waits until it says that it is ready.
   * @param {URL} script @param {object} task @param {number} [ms] the deadline
   */
  async start(script, task, ms) {
    return this.#ready(new Worker(script, { url: this.url, ...task }), ms)
  }

  /**
   * What starts a subject's processes: scripts beside `base` that are called so, or a program that is told its part.
   * @param {string} subject @param {string} base
   * @returns {Promise<(part: string, task: object, ms?: number) => Promise<Worker | Program>>}
   */
  async starter(subject, base) {
    const path = await subjectNamed(subject).program?.()
    return path === undefined
      ? (part, task, ms) => this.start(new URL(`./${part}.mjs`, base), task, ms)
      : (part, task, ms) => this.#ready(new Program(path, part, { url: this.url, ...task }), ms)
  }

  /** @template {Worker | Program} T @param {T} worker @param {number} [ms] */
  async #ready(worker, ms) {
    this.#workers.push(worker)
    worker.said = await worker.answer(ms)
    return worker
  }

  /** The number of connections that subjects have to Redis: all but this scene's own. */
  async connections() {
    return (await this.redis.admin.clients()).length - 1
  }

  /** Begins to measure what Redis and the machine do; `end` returns it. */
  async watch() {
    const { admin } = this.redis
    await admin.cmd('CONFIG', 'RESETSTAT')
    const begin = await redisCpuUs(admin)
    const time = performance.now()
    const cpus = new Cpus()
    return {
      end: async () => {
        const { busyPercent, stolenPercent } = cpus.percent()
        const redisUs = (await redisCpuUs(admin)) - begin
        const wallMs = performance.now() - time
        /** CPU time as a share of a core, in percent. @param {number} us */
        const percent = (us) => us / wallMs / 10
        /**
         * What others did, in percent of a core: on a busy machine latencies are the first to suffer.
         * @param {number} ownPercent what the run's own processes use
         */
        const besides = (ownPercent) => ({
          othersPercent: Math.max(0, busyPercent - ownPercent - percent(redisUs)),
          stolenPercent,
        })
        return {
          redisUs,
          redisPercent: percent(redisUs),
          commands: callsByCommand(await admin.info('commandstats')),
          percent,
          besides,
          /**
           * What each chunk has cost the one process of a run, and Redis; and what the machine did besides.
           * @param {{ mainUs: number, processUs: number }} used @param {number} chunks
           */
          costs: (used, chunks) => ({
            mainUs: used.mainUs / chunks,
            processUs: used.processUs / chunks,
            redisUs: redisUs / chunks,
            ...besides(percent(used.processUs)),
          }),
        }
      },
    }
  }
}

/** @param {import('../../__test__/support/resp.mjs').Admin} admin */
async function redisCpuUs(admin) {
  const { used_cpu_sys, used_cpu_user } = await admin.info('cpu')
  return (Number(used_cpu_sys) + Number(used_cpu_user)) * 1e6
}

/** Calls by clients and by scripts, without those of the measurement itself. @param {Record<string, string>} commandstats */
function callsByCommand(commandstats) {
  /** @type {Record<string, number>} */
  const calls = {}
  for (const [key, value] of Object.entries(commandstats)) {
    const name = key.slice('cmdstat_'.length)
    if (/^(info|config\|resetstat|client\|list|pubsub\|channels)$/.test(name)) continue
    calls[name] = Number(/calls=(\d+)/.exec(value)?.[1])
  }
  return calls
}
