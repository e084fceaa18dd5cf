// Clocks and counters, the same in every process of a run.

import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'

/** What hrtime, the machine's monotonic clock, said when this process' performance.now() was zero. */
const origin = findOrigin()

function findOrigin() {
  for (;;) {
    const before = performance.now()
    const machine = Number(process.hrtime.bigint()) / 1e6
    // Another process may have had the core in between.
    if (performance.now() - before < 0.02) return machine - before
  }
}

/** Milliseconds on a clock that all processes of this machine share. */
export const now = () => performance.now() + origin

/** CPU time of this process. */
export class Cpu {
  #start = Cpu.#read()

  /** Since this object was made, in microseconds. `mainUs`: the main thread's, NaN where the system has no schedstat. */
  used() {
    const { mainUs, processUs } = Cpu.#read()
    return { mainUs: mainUs - this.#start.mainUs, processUs: processUs - this.#start.processUs }
  }

  static #read() {
    const { user, system } = process.cpuUsage()
    return { mainUs: mainThreadUs(), processUs: user + system }
  }
}

/** Node 20 has no `threadCpuUsage`; Linux counts each thread's nanoseconds on a core. */
function mainThreadUs() {
  if (process.platform !== 'linux') return Number.NaN
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e3
}

/** How busy the machine's cores are. */
export class Cpus {
  #start = Cpus.#read()

  /** Since this object was made, in percent of one core; `stolen` is what a hypervisor gave to others (Linux says so). */
  percent() {
    const { busy, stolen, all } = Cpus.#read()
    const share = (/** @type {number} */ part) => (100 * cpus().length * part) / (all - this.#start.all)
    return { busyPercent: share(busy - this.#start.busy), stolenPercent: share(stolen - this.#start.stolen) }
  }

  static #read() {
    const stolen = process.platform === 'linux' ? stolenMs() : 0
    let all = stolen
    let busy = 0
    for (const { times } of cpus()) {
      const sum = times.user + times.nice + times.sys + times.irq + times.idle
      all += sum
      busy += sum - times.idle
    }
    return { all, busy, stolen }
  }
}

/** `os.cpus()` leaves it out; a tick is 10 ms. */
function stolenMs() {
  const [, ...ticks] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0]?.split(/ +/) ?? []
  return Number(ticks[7] ?? 0) * 10
}

const BUCKETS_PER_MS = 100
const BUCKETS = 10_000 * BUCKETS_PER_MS

/** A histogram of 10 µs buckets up to 10 s: adding allocates nothing. */
export class Latencies {
  #buckets = new Uint32Array(BUCKETS + 1)
  #count = 0

  /** @param {number} ms */
  add(ms) {
    const bucket = Math.min(BUCKETS, Math.max(0, Math.floor(ms * BUCKETS_PER_MS)))
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
    this.#count++
  }

  /** The bound in milliseconds that this share of the values stays below; null without values. @param {number} share */
  quantile(share) {
    let left = Math.ceil(this.#count * share)
    if (left === 0) return null
    const bucket = this.#buckets.findIndex((count) => {
      left -= count
      return left <= 0
    })
    return (bucket + 1) / BUCKETS_PER_MS
  }
}
