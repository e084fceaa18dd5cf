import type { Readable } from 'node:stream'
import { types } from 'node:util'
import type { StreamRequest } from '../../index'
import { InvalidArgumentError, invalidArgument } from '../errors/errors'
import { refuse } from '../options/checks'
import { begin, type Reading } from '../options/source'
import type { MaybePromise } from '../util/deferred'

/** The limit for nested arrays and objects: code that walks them recurses for each level. */
const MAX_DEPTH = 1000
/** The limit for arrays, objects and commas: each costs a few bytes as text, but may cost a hundred as a value. */
const MAX_VALUES = 1_000_000
const FIRST_BYTES = 16 * 1024

/** The body exceeds the limit: the status is 413. */
export class TooLargeError extends InvalidArgumentError {}

/** The body has not come to its end. */
export class BrokenOffError extends InvalidArgumentError {}

type NodeHeaders = Readonly<Record<string, string | string[] | undefined>> | undefined

/** A header of a web request, or of one of `node:http`. */
export function headerOf(headers: StreamRequest['headers'] | undefined, name: string): string | undefined {
  const value = typeof headers?.get === 'function' ? headers.get(name) : (headers as NodeHeaders)?.[name]
  return typeof value === 'string' ? value : undefined
}

/** A body and what came with it, as web requests and those of `node:http` have them. */
export interface Received {
  readonly body: unknown
  readonly headers?: StreamRequest['headers'] | undefined
  /** Whether the body was read already. */
  readonly bodyUsed?: boolean | undefined
}

/**
 * Reads a body as a JSON object; `shape` says in an error what it should hold. A body above the limit is neither
 * read to its end nor parsed.
 */
export async function jsonOf(received: Received, maxBytes: number, shape: string): Promise<object> {
  const text = new TextDecoder().decode(await bytesOf(received, maxBytes))
  checkWeight(text)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw invalidArgument('body', `must be ${shape}`, { cause })
  }
  return typeof value === 'object' && value !== null ? value : refuse('body', shape, value)
}

/** The methods that read a request's whole body; not every version of Node.js has all. */
const READINGS = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'] as const

/** Passes on a request whose body is read later: the receiver may read it too, from a copy. */
export async function spared<T>(request: Request, look: () => MaybePromise<T>): Promise<T> {
  if (request.bodyUsed) return look()
  const shadowed = READINGS.filter((name) => name in request && !Object.hasOwn(request, name))
  for (const name of shadowed) {
    const read = async () => (request.clone() as Request & { bytes(): Promise<Uint8Array> })[name]()
    Reflect.defineProperty(request, name, { configurable: true, value: read })
  }
  try {
    return await look()
  } finally {
    for (const name of shadowed) Reflect.deleteProperty(request, name)
  }
}

/** Reads a body up to a limit; a larger one throws a {@link TooLargeError}, and is not read to its end. */
export async function bytesOf({ body, headers, bodyUsed }: Received, maxBytes: number): Promise<Buffer> {
  if (Number(headerOf(headers, 'content-length')) > maxBytes) throw tooLarge(`${maxBytes} bytes`)
  if (bodyUsed) throw readAlready()
  if (body === null || body === undefined) return Buffer.alloc(0)
  const reading = begin(body as AsyncIterable<Uint8Array | string>, 'body')
  const pieces = new Pieces(maxBytes)
  for (;;) {
    const { done, value } = await next(reading)
    if (done) return pieces.joined()
    const piece = typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array)
    if (!types.isUint8Array(piece)) return refuse('body', 'bytes', piece)
    // The rest is left unread and not cancelled: on a cancel, servers may close the connection before they have answered, and
    // the one of Next.js continues to write into the cancelled stream, which ends the process.
    pieces.add(piece)
  }
}

/** The same for the body of `node:http`, without what an iterator costs. */
export function bytesOfReadable(body: Readable, length: string | null, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(length) > maxBytes) throw tooLarge(`${maxBytes} bytes`)
    const pieces = new Pieces(maxBytes)
    const settle = (how: () => void) => {
      body.off('data', take).off('end', end).off('error', broken).off('close', broken)
      how()
    }
    const take = (piece: Uint8Array) => {
      try {
        pieces.add(piece)
      } catch (error) {
        body.pause()
        settle(() => reject(error))
      }
    }
    const end = () => settle(() => resolve(pieces.joined()))
    const broken = (cause?: Error) => settle(() => reject(brokenOff(cause)))
    // Nothing is left of it, or not all.
    if (body.readableDidRead || body.readableEnded) reject(readAlready())
    else if (body.destroyed) broken()
    else body.on('data', take).on('end', end).on('error', broken).on('close', broken).resume()
  })
}

/** Joins pieces, which may be single bytes. */
class Pieces {
  readonly #most: number
  #bytes: Uint8Array = Buffer.alloc(0)
  #size = 0
  /** Whether the buffer is one of ours: the first piece is not copied until there is a second one. */
  #isOwn = false

  constructor(most: number) {
    this.#most = most
  }

  /** Throws a {@link TooLargeError}. */
  add(piece: Uint8Array): void {
    const end = this.#size + piece.byteLength
    if (end > this.#most) throw tooLarge(`${this.#most} bytes`)
    if (this.#size === 0) this.#bytes = piece
    else {
      if (!this.#isOwn || end > this.#bytes.byteLength) this.#grow(end)
      this.#bytes.set(piece, this.#size)
    }
    this.#size = end
  }

  joined(): Buffer {
    const { buffer, byteOffset } = this.#bytes
    return Buffer.from(buffer, byteOffset, this.#size)
  }

  #grow(end: number): void {
    const larger = Buffer.alloc(Math.min(this.#most, Math.max(end, 2 * this.#size, FIRST_BYTES)))
    larger.set(this.#bytes.subarray(0, this.#size))
    this.#bytes = larger
    this.#isOwn = true
  }
}

async function next(reading: Reading<Uint8Array | string>) {
  try {
    return await reading.next()
  } catch (cause) {
    throw brokenOff(cause)
  }
}

const fieldsOf = (problem: string) =>
  ({ message: `body: ${problem}`, streamId: null, retryable: false, field: 'body' }) as const

const readAlready = () =>
  invalidArgument('body', 'was read already: by a body parser, or not from a clone of the request')

function tooLarge(limit: string): TooLargeError {
  return new TooLargeError('ERR_INVALID_ARGUMENT', fieldsOf(`must be at most ${limit}`))
}

/** Usually the sender is gone, so there is nobody to report this to. */
function brokenOff(cause: unknown): BrokenOffError {
  return new BrokenOffError('ERR_INVALID_ARGUMENT', fieldsOf('broke off'), cause ? { cause } : undefined)
}

/** Refuses a text whose value would be far larger or deeper than any real request: a {@link TooLargeError}, or another error. */
export function checkWeight(json: string): void {
  if (json.length <= MAX_DEPTH) return
  let depth = 0
  let values = 0
  for (let at = 0; at < json.length; at++) {
    switch (json.charCodeAt(at)) {
      case 0x22: // "
        at = endOfString(json, at)
        break
      case 0x5b: // [
      case 0x7b: // {
        depth += 1
        values += 1
        if (depth > MAX_DEPTH)
          throw invalidArgument('body', `must be nested at most ${MAX_DEPTH} levels deep`)
        break
      case 0x5d: // ]
      case 0x7d: // }
        depth -= 1
        break
      case 0x2c: // ,
        values += 1
    }
    if (values > MAX_VALUES) throw tooLarge(`${MAX_VALUES} values`)
  }
}

/** The quotation mark that closes the string, or the text's end. */
export function endOfString(json: string, start: number): number {
  for (let end = json.indexOf('"', start + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let slashes = 0
    while (json[end - 1 - slashes] === '\\') slashes += 1
    if (slashes % 2 === 0) return end
  }
  return json.length
}
