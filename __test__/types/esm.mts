// The same package from an ES module.
import { createEngine, type Engine, TidemarkError } from 'tidemark'

import { observe } from 'tidemark/opentelemetry'

export const engine: Engine = createEngine({ url: 'memory:' })
export const stopObserving: () => void = observe(engine)
export const isOurs = (error: unknown): error is TidemarkError => error instanceof TidemarkError
