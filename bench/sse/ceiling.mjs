// What responses take of Node.js alone: ready pieces, written at the pace of the load.

import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../lib/measure.mjs'
import { streamId } from '../live/load.mjs'

/** As long as an event of a chunk. */
const EVENT = `id: ${'0'.repeat(26)}.1000\ndata: ${'x'.repeat(78)}\n\n`
const BYTES = new TextEncoder().encode(EVENT)

/** What a response is written with. @typedef {{ write: () => void, end: () => void }} Sink */

export class Ceiling {
  /** Pieces that were written. */
  written = 0
  #isOver = false
  /** @type {Sink[]} */
  #sinks = []

  /** @param {Pick<import('../live/load.mjs').Load, 'perTurn' | 'turnMs'>} load */
  async run({ perTurn, turnMs }) {
    const start = now()
    for (let turn = 0; !this.#isOver; turn++) {
      for (let at = turn * perTurn; at < (turn + 1) * perTurn && this.#sinks.length > 0; at++) {
        this.#sinks[at % this.#sinks.length]?.write()
        this.written++
      }
      await sleep(Math.max(0, Math.ceil(start + (turn + 1) * turnMs - now())))
    }
  }

  end() {
    this.#isOver = true
    for (const sink of this.#sinks) sink.end()
  }

  /** @param {import('node:http').ServerResponse} response */
  node(response) {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    this.#sinks.push({ write: () => response.write(EVENT), end: () => response.end() })
  }

  web() {
    const body = new ReadableStream({
      start: (controller) => {
        this.#sinks.push({ write: () => controller.enqueue(BYTES), end: () => controller.close() })
      },
    })
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  }
}

/** As many responses as the load has readers. @param {import('../live/load.mjs').Load} load */
export const readersOf = ({ streams, fan }) =>
  Array.from({ length: streams * fan }, (_, index) => streamId(index % streams))
