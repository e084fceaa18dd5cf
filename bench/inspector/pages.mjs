// Open pages of an inspector: each asks for what the list of streams asks for, as soon as the answers say.

import { Agent, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerWords, task } from '../lib/worker.mjs'

const { url, pages } = task()
/** How often a page asks for the metrics too. */
const METRICS_MS = 5_000
const agent = new Agent({ keepAlive: true })
/** Answers with a page of streams. */
let looks = 0

/** @param {string} more @returns {Promise<number>} how soon to ask again, in ms */
function look(more) {
  return new Promise((resolve, reject) => {
    const address = `${url}/inspect/api/look?sort=state&order=down&page=1${more}`
    const request = get(address, { agent }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece) => {
        text += piece
      })
      response.on('end', () => {
        const { rows, nextMs } = response.statusCode === 200 ? JSON.parse(text).list : { rows: [], nextMs: 0 }
        if (rows.length === 50) looks++
        resolve(nextMs)
      })
    })
    request.on('error', reject)
  })
}

/** @param {AbortSignal} signal */
async function open(signal) {
  let askedAt = Number.NEGATIVE_INFINITY
  while (!signal.aborted) {
    const isDue = performance.now() - askedAt >= METRICS_MS
    if (isDue) askedAt = performance.now()
    await sleep(await look(isDue ? '&metrics=1' : ''), undefined, { signal }).catch(() => {})
  }
}

let closing = new AbortController()
/** @type {Promise<void>[]} */
let shown = []
answerWords({
  open() {
    looks = 0
    closing = new AbortController()
    shown = Array.from({ length: pages }, () => open(closing.signal))
    return 'open'
  },
  /** @returns {Promise<number>} how many answers there were */
  async close() {
    closing.abort()
    await Promise.all(shown)
    return looks
  },
})
process.send?.('ready')
