// The same package from an ES module.
import { createEngine, type Engine, TidemarkError } from 'tidemark'

export const engine: Engine = createEngine({ url: 'memory:' })
export const isOurs = (error: unknown): error is TidemarkError => error instanceof TidemarkError
