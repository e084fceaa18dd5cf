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

/** Does not compile if the exports differ from the hand-written index.d.ts. */
export type Checked<E extends Promised = Exported, K extends keyof Promised = keyof Exported> = [E, K]
