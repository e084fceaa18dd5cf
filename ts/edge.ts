import type { Engine } from '../index'

// What `tidemark` is where there is no Node.js (package.json's conditions): an error that says so, in place of a bundler's.

export * from './errors'

export function createEngine(): Engine {
  throw new Error(
    'tidemark has native code, so it needs the Node.js runtime. On the server: remove `export const runtime = "edge"` ' +
      'from the route that imports it. In the browser: import tidemark/schema or tidemark/client instead.',
  )
}
