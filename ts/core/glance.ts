import type { StreamStatus } from '../../index'

type Same =
  | 'streamId'
  | 'state'
  | 'reason'
  | 'generation'
  | 'firstSeq'
  | 'lastSeq'
  | 'bytes'
  | 'storedBytes'
  | 'producers'
  | 'stop'
  | 'owner'

/** A stream in a list: `Glance` of src/store/glances.rs, with its readers. */
export type Glance = Pick<StreamStatus, Same> & {
  /** Milliseconds since 1970, as is `updatedAt`. */
  startedAt: number
  updatedAt: number
  /** The process of one of its producers, `<host>:<pid>`, if it is known. */
  process: string | null
  /** How many chunks the consumer or group that is furthest behind has not acknowledged; null without any. */
  lag: number | null
  readers: Readers
}

/** Who reads a stream: `Readers` of src/engine/events.rs. */
export interface Readers {
  /** Readers of this engine. */
  here: number
  /** Other processes with readers, without one whose own producer is the only one; null where that is not known. */
  elsewhere: number | null
}
