import { withTidemark } from 'tidemark/next'

const root = import.meta.dirname

export default withTidemark({
  turbopack: { root },
  outputFileTracingRoot: root,
  devIndicators: false,
})
