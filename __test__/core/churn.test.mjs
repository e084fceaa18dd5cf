// A few thousand streams of every kind of life leave nothing behind; `npm run soak -- churn` plays a million.

import { test } from 'node:test'
import { churn } from '../support/churn.mjs'

test('G7: streams that come and go leave Redis, memory and handles as they were', { timeout: 150_000 }, (t) =>
  churn(t, { warmUp: 60, each: 120, rounds: 1, killed: 1, rssBytes: 48 * 2 ** 20, heapBytes: 8 * 2 ** 20 }),
)
