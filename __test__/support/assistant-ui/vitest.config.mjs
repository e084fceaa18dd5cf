// assistant-ui's own tests of its stores, from its package, with ours in place of theirs.

import { fileURLToPath } from 'node:url'

const ours = fileURLToPath(new URL('stores.mjs', import.meta.url))
const THEIRS = ['/InMemoryResumableStreamStore', '/redis', '/ioredis']

export default {
  root: fileURLToPath(new URL('../../../node_modules/assistant-stream/src/resumable', import.meta.url)),
  plugins: [
    {
      name: 'our store',
      enforce: /** @type {const} */ ('pre'),
      resolveId: (/** @type {string} */ source, /** @type {string | undefined} */ importer) =>
        importer?.endsWith('.test.ts') &&
        source.startsWith('.') &&
        THEIRS.some((name) => source.endsWith(name))
          ? ours
          : undefined,
    },
  ],
  test: {
    // These test the parts of their Redis store.
    exclude: ['**/redis-impl.test.ts', '**/redis-script.test.ts'],
    include: ['**/*.test.ts'],
    // These hold back a command of their client, which ours does not use, and would wait for it.
    testNamePattern: /^(?!Redis adapter: .*(a stale finalizer|an in-flight append|an in-flight delete) )/,
    server: { deps: { inline: [/assistant-stream/] } },
    // One process for all of them costs half.
    isolate: false,
    fileParallelism: false,
    // A busy machine needs its time.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
}
