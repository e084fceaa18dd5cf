import { fromNative, type NativeError, type Origin, TidemarkError } from './errors'

/** Options of a call that may have caused its error. */
interface Asked {
  owner?: string | null
  waitMs?: number
}

/** Adds advice for the caller, which depends on options that only this side knows. */
export function advised(error: NativeError, { owner, waitMs = 0 }: Asked): NativeError {
  const { code, message } = error
  if (code === 'ERR_FORBIDDEN' && owner == null) {
    return { ...error, message: `${message}, and this call names none: pass { owner }` }
  }
  if (code !== 'ERR_NOT_FOUND') return error
  const waited = waitMs > 0 ? ` and did not appear within ${shown(waitMs)} (wait)` : ''
  return { ...error, message: `${message}${waited}; is the id right, and the engine's url and keyPrefix?` }
}

/** An error of one step, as an error of the whole call. */
export function readvised(error: unknown, asked: Asked, from: Origin): unknown {
  if (!(error instanceof TidemarkError)) return error
  const { streamId = null, ...fields } = error
  return fromNative(advised({ ...fields, streamId, message: error.message }, asked), from)
}

function shown(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`
}
