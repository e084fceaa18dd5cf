export { createEngine } from './core/engine'
export {
  AckTimeoutError,
  ActiveError,
  BackpressureError,
  ClosedError,
  ConflictError,
  ConnectionError,
  CorruptError,
  EndedError,
  FailedError,
  FencedError,
  ForbiddenError,
  GapError,
  InternalError,
  InterruptedError,
  InvalidArgumentError,
  NotFoundError,
  PlatformError,
  SchemaError,
  StoppedError,
  StoreError,
  TidemarkError,
  TimeoutError,
} from './errors/errors'

type Promised = typeof import('../index')
type Exported = typeof import('./index')

/** Does not compile when what is exported here is not what the hand-written index.d.ts promises. */
export type Checked<E extends Promised = Exported, K extends keyof Promised = keyof Exported> = [E, K]
