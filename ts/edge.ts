// `tidemark` and `tidemark/next` where there is no Node.js (package.json's conditions): an error that says so, instead of
// a bundler's.

export * from './errors/errors'
export { withTidemark } from './next/with-tidemark'
export {
  needsNode as chatRoutes,
  needsNode as consumeSseStream,
  needsNode as createEngine,
  needsNode as resumeResponse,
  needsNode as stopResponse,
}

function needsNode(): never {
  throw new Error(
    'tidemark has native code, so it needs the Node.js runtime. On the server: remove `export const runtime = "edge"` ' +
      'from the route that imports it. In the browser: import tidemark/schema or tidemark/client instead.',
  )
}
