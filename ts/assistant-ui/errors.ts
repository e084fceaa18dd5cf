// The errors that assistant-ui's stores have, which its callers tell by `name` and `code`.

export type ResumableStreamErrorCode = 'missing' | 'exists' | 'finalized' | 'invalid-id'

/** As `assistant-stream` has it, whose own class is in a module that is not needed here. */
export class ResumableStreamError extends Error {
  readonly code: ResumableStreamErrorCode

  constructor(code: ResumableStreamErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
Object.defineProperty(ResumableStreamError.prototype, 'name', {
  value: 'ResumableStreamError',
  configurable: true,
  writable: true,
})

const ID = /^[A-Za-z0-9_.:-]{1,256}$/

/** Refuses an id as the original does, and without repeating it. */
export function checkId(id: unknown): string {
  if (typeof id === 'string' && ID.test(id) && id !== '.' && id !== '..') return id
  throw new ResumableStreamError(
    'invalid-id',
    `Invalid streamId: it must match ${ID}, and be neither . nor ..`,
  )
}

/** There is no such stream. */
export const notFound = (id: string): Error =>
  Object.assign(new Error(`Stream not found: ${id}`), { code: 'missing' })

export const finalized = (id: string) =>
  new ResumableStreamError('finalized', `Stream already finalized: ${id}`)

/** The stream was acquired anew. */
export const superseded = (id: string) =>
  new ResumableStreamError('missing', `Stream superseded by a new acquisition: ${id}`)
