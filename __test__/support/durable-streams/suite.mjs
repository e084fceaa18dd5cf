// The public conformance suite of Durable Streams, as vitest runs it against CONFORMANCE_TEST_URL.

import { runConformanceTests } from '@durable-streams/server-conformance-tests'

runConformanceTests({
  baseUrl: process.env.CONFORMANCE_TEST_URL ?? '',
  longPollTimeoutMs: 2_000,
  subscriptions: true,
})
