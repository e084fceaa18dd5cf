// The publisher's process: an open loop, which does not slow down with its subject.

import { setTimeout as sleep } from 'node:timers/promises'
import { Cpu, now } from '../lib/measure.mjs'
import { timedDelta } from '../lib/payload.mjs'
import { answerWords, task } from '../lib/worker.mjs'
import { connectTo } from '../subjects/index.mjs'
import * as load from './load.mjs'

/** A stream's writer with a queue: while its subject has no room, chunks wait here, and the wait counts as latency. */
class QueuedWriter {
  /** Chunks of all streams that the subject has taken. */
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
    QueuedWriter.written++
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
const client = await connectTo(given.subject, given.url)
/** @type {QueuedWriter[]} */
const writers = []
await forEachStream(async (index) => {
  writers[index] = await open(index)
})

/** A few streams at a time: thousands of commands at once would be another benchmark. @param {(index: number) => Promise<void>} act */
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
  return new QueuedWriter(writer)
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
  // Timers are often a little late, which is no subject's fault. More than a turn late means that the thread was busy: then
  // the wait is part of the latency.
  const time = now()
  const offered = Math.round((time - due > turnMs ? due : time) * 1000) / 1000
  for (let chunk = turn * perTurn; chunk < (turn + 1) * perTurn; chunk++) {
    const index = chunk % streams
    writers[index]?.offer(timedDelta(index, history + Math.floor(chunk / streams) + 1, offered))
  }
}

function beginMeasuring() {
  measured = { cpu: new Cpu(), written: QueuedWriter.written, time: now() }
  warm()
}

function endMeasuring() {
  if (!measured) throw new Error('the warm-up never ended')
  const backlog = writers.reduce((sum, writer) => sum + writer.backlog, 0)
  return {
    ...measured.cpu.used(),
    written: QueuedWriter.written - measured.written,
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
    await forEachStream(async (index) => writers[index]?.end())
    return 'ended'
  },
})
process.send?.('open')
