// 50,000 streams of every kind of life leave Redis' keys, the process' memory and its handles where they were.

import { test } from 'node:test'
import { churn } from '../support/churn.mjs'

const EACH = Number(process.env.TIDEMARK_CHURN ?? 50_000)
const ROUNDS = 10

test(`G7: ${EACH} streams of each kind leave nothing behind`, (t) =>
  churn(t, {
    warmUp: 1_000,
    each: Math.ceil(EACH / ROUNDS),
    rounds: ROUNDS,
    killed: Math.ceil(EACH / ROUNDS / 500),
    // Of five million seals, fences and lapsed leases, a few bytes each would show.
    rssBytes: 48 * 2 ** 20,
    heapBytes: 8 * 2 ** 20,
  }))
