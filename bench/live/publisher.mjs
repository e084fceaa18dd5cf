// The publisher's process: an open loop, which does not slow down with its subject.

import { setTimeout as sleep } from 'node:timers/promises'
import { Cpu, now } from '../lib/measure.mjs'
import { timedDelta } from '../lib/payload.mjs'
import { answerWords, task } from '../lib/worker.mjs'
import { subjectNamed } from '../subjects/index.mjs'
import * as load from './load.mjs'

/** A stream's writer. Chunks that its subject has no room for wait here, and their clocks run on. */
class Lane {
  /** Chunks that the subject has taken, over all lanes. */
  static written = 0
  /** @type {import('../lib/payload.mjs').TimedDelta[]} */
  #waiting = []
  #blocked = false
  #writer

  /** @param {import('../subjects/index.mjs').Writer} writer */
  constructor(writer) {
    this.#writer = writer
  }

  /** @param {import('../lib/payload.mjs').TimedDelta} event */
  offer(event) {
    if (this.#blocked) this.#waiting.push({ ...event })
    else this.#write(event)
  }

  end() {
    return this.#writer.end()
  }

  get backlog() {
    return this.#waiting.length
  }

  /** @param {import('../lib/payload.mjs').TimedDelta} event */
  #write(event) {
    Lane.written++
    const room = this.#writer.write(event)
    if (!room) return
    this.#blocked = true
    room.then(() => {
      this.#blocked = false
      for (let next = this.#waiting.shift(); next; next = this.#blocked ? undefined : this.#waiting.shift())
        this.#write(next)
    })
  }
}

const AT_ONCE = 64

const given = /** @type {load.Task} */ (task())
const { streams, perTurn, turnMs, history = 0 } = given
const client = await subjectNamed(given.subject).connect(given.url)
/** @type {Lane[]} */
const lanes = []
await forEachStream(async (index) => {
  lanes[index] = await open(index)
})

/** Some streams at a time: this is not a benchmark of thousands of commands at once. @param {(index: number) => Promise<void>} act */
async function forEachStream(act) {
  let next = 0
  const worker = async () => {
    while (next < streams) await act(next++)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

/** @param {number} index */
async function open(index) {
  const writer = await client.open(load.streamId(index))
  for (let n = 1; n <= history; n++) await writer.write(timedDelta(index, n, 0.5))
  return new Lane(writer)
}

/** @type {{ cpu: Cpu, written: number, time: number } | undefined} */
let measured
/** @type {() => void} */
let warm
const warmedUp = new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
  warm = resolve
})

async function publish() {
  const [warmUp, turns] = [load.warmUpTurns(given), load.turns(given)]
  const start = now()
  for (let turn = 0; turn < turns; ) {
    const time = now()
    for (; turn < turns && start + turn * turnMs <= time; turn++) {
      if (turn === warmUp) beginMeasuring()
      offerTurn(turn, start + turn * turnMs)
    }
    await sleep(Math.max(0, Math.ceil(start + turn * turnMs - now())))
  }
  return endMeasuring()
}

/** @param {number} turn @param {number} due */
function offerTurn(turn, due) {
  // Timers are often a little late, for which no subject is to blame; more than a turn late means that the thread was busy,
  // and then the wait is part of the latency.
  const time = now()
  const offered = Math.round((time - due > turnMs ? due : time) * 1000) / 1000
  for (let chunk = turn * perTurn; chunk < (turn + 1) * perTurn; chunk++) {
    const index = chunk % streams
    lanes[index]?.offer(timedDelta(index, history + Math.floor(chunk / streams) + 1, offered))
  }
}

function beginMeasuring() {
  measured = { cpu: new Cpu(), written: Lane.written, time: now() }
  warm()
}

function endMeasuring() {
  if (!measured) throw new Error('the warm-up never ended')
  const backlog = lanes.reduce((sum, lane) => sum + lane.backlog, 0)
  return {
    ...measured.cpu.used(),
    written: Lane.written - measured.written,
    wallMs: now() - measured.time,
    backlog,
  }
}

/** @type {ReturnType<typeof publish>} */
let published
answerWords({
  warmUp() {
    published = publish()
    return warmedUp.then(() => 'warm')
  },
  finish: () => published,
  async end() {
    await forEachStream(async (index) => lanes[index]?.end())
    return 'ended'
  },
})
process.send?.('open')
