// What is streamed: the parts of an AI SDK UI message stream, from a text or from the bundled recording.

import { createReadStream, fstatSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {{ type: string, [field: string]: unknown }} Part
 * @typedef {{ title: string, name: string, parts: () => AsyncIterable<Part> }} Source `parts` can be called again and again.
 */

const RECORDING = fileURLToPath(new URL('recording.jsonl', import.meta.url))

/** Of what can be read only once, so much is kept. Files have no limit: they are read again for every answer. */
const MAX_KEPT_BYTES = 16 * 1024 * 1024

/** How much of a text is looked at before it is accepted. */
const HEAD_BYTES = 64 * 1024

/** For how long an open but silent standard input is taken for somebody about to write. */
const FIRST_BYTE_MS = 1500

/** The user's mistake, in words. */
export class UsageError extends Error {}

/**
 * A file, standard input (`-`, or when it is a pipe with something in it), or the recording.
 * @param {string | undefined} file
 * @param {string} directory the file's name is relative to
 * @returns {Promise<Source>}
 */
export async function openSource(file, directory) {
  if (file !== undefined && file !== '-') return openFile(file, resolve(directory, file))
  if (file === '-' || hasPipedInput()) {
    const bytes = await keep(readInput(file === '-'), 'standard input')
    if (bytes.length > 0) return textSource('standard input', () => [bytes], bytes)
    if (file === '-') throw new UsageError('standard input is empty: there is nothing to stream')
  }
  return {
    title: 'Why does the sea come in twice a day?',
    name: 'the bundled recording',
    parts: readRecording,
  }
}

/** @returns {Promise<Source>} */
async function openFile(/** @type {string} */ name, /** @type {string} */ path) {
  try {
    const found = await stat(path)
    if (found.isDirectory()) throw new UsageError(`${name} is a directory; give a text file`)
    if (!found.isFile()) {
      const bytes = await keep(createReadStream(path), name)
      return textSource(name, () => [bytes], bytes)
    }
    const head = Buffer.alloc(HEAD_BYTES)
    const handle = await open(path)
    const { bytesRead } = await handle.read(head).finally(() => handle.close())
    return textSource(name, () => createReadStream(path), head.subarray(0, bytesRead))
  } catch (error) {
    if (error instanceof UsageError) throw error
    const problem = error.code === 'ENOENT' ? 'there is no such file' : error.message
    throw new UsageError(`cannot read ${name}: ${problem}`)
  }
}

/**
 * @param {string} name
 * @param {() => AsyncIterable<Uint8Array> | Iterable<Uint8Array>} read
 * @param {Uint8Array} start its first bytes, or all
 * @returns {Source}
 */
function textSource(name, read, start) {
  if (start.length === 0) throw new UsageError(`${name} is empty: there is nothing to stream`)
  const head = start.subarray(0, HEAD_BYTES)
  try {
    // `stream`: the head may end within a character.
    if (head.includes(0)) throw new Error('a zero byte')
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true })
  } catch {
    throw new UsageError(`${name} is not UTF-8 text; this demo streams text only`)
  }
  return { title: basename(name), name, parts: () => textParts(name, read()) }
}

async function* textParts(
  /** @type {string} */ name,
  /** @type {AsyncIterable<Uint8Array> | Iterable<Uint8Array>} */ bytes,
) {
  yield { type: 'start' }
  yield { type: 'text-start', id: 'text' }
  try {
    for await (const delta of splitTokens(bytes)) yield { type: 'text-delta', id: 'text', delta }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new Error(`${name} goes on with bytes that are not UTF-8 text`, { cause: error })
  }
  yield { type: 'text-end', id: 'text' }
  yield { type: 'finish' }
}

/**
 * Pieces of the size of a model's tokens, which together are exactly the text.
 * @param {AsyncIterable<Uint8Array> | Iterable<Uint8Array>} bytes
 */
export async function* splitTokens(bytes) {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  for await (const block of bytes) {
    for (let at = 0; at < block.length; at += HEAD_BYTES) {
      yield* pieces(decoder.decode(block.subarray(at, at + HEAD_BYTES), { stream: true }))
    }
  }
  yield* pieces(decoder.decode())
}

function* pieces(/** @type {string} */ text) {
  for (const [piece] of text.matchAll(/\s{0,8}[^\s]{1,8}|\s{1,8}/gu)) yield piece
}

async function* readRecording() {
  const file = await open(RECORDING)
  try {
    for await (const line of file.readLines()) yield JSON.parse(line)
  } finally {
    await file.close()
  }
}

/** How long a part takes compared to a token; those that are not here come at once. */
const WEIGHTS = {
  'reasoning-start': 20,
  'reasoning-delta': 1,
  'text-start': 10,
  'text-delta': 1,
  'tool-input-start': 10,
  'tool-input-delta': 1,
  'tool-output-available': 50,
}

/**
 * The parts at the pace of a model, about `rate` tokens a second, until the signal.
 * @param {AsyncIterable<Part>} parts
 * @param {number} rate
 * @param {AbortSignal} signal
 */
export async function* paced(parts, rate, signal) {
  let due = performance.now()
  let breath = due
  for await (const part of parts) {
    signal.throwIfAborted()
    due += ((WEIGHTS[part.type] ?? 0) * (0.4 + 1.2 * Math.random()) * 1000) / rate
    const now = performance.now()
    if (due - now > 1) {
      await setTimeout(due - now, undefined, { signal })
      breath = performance.now()
    } else if (now - breath > 5) {
      // At a rate without pauses the readers of this process want their turn too.
      await setImmediate(undefined, { signal })
      breath = performance.now()
    }
    yield part
  }
}

/** Not a terminal, nor `/dev/null`. */
function hasPipedInput() {
  try {
    const input = fstatSync(0)
    return input.isFIFO() || input.isFile() || input.isSocket()
  } catch {
    return false
  }
}

/**
 * Standard input. A pipe that somebody merely left open is given up after a moment, unless it was asked for.
 * @param {boolean} isAwaited
 */
async function* readInput(isAwaited) {
  const timer = isAwaited ? undefined : globalThis.setTimeout(() => process.stdin.destroy(), FIRST_BYTE_MS)
  try {
    for await (const block of process.stdin) {
      clearTimeout(timer)
      yield block
    }
  } catch (error) {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error
  } finally {
    clearTimeout(timer)
  }
}

/**
 * @param {AsyncIterable<Uint8Array>} input
 * @param {string} name
 */
async function keep(input, name) {
  const blocks = []
  let length = 0
  for await (const block of input) {
    length += block.length
    if (length > MAX_KEPT_BYTES) {
      throw new UsageError(`${name} is longer than 16 MiB: save it as a file and give its name`)
    }
    blocks.push(block)
  }
  return Buffer.concat(blocks)
}
