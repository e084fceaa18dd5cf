// What several commands say of a stream, or have to know of it.

import type { ChunkData } from '../../index'
import type { Engine } from '../core/engine'
import { type Context, EXIT } from './command'
import { argument, printable } from './output'

/** Nothing was found: a reminder that streams under other prefixes are not listed. */
export function under(keyPrefix: string): string {
  return ` under the prefix ${printable(keyPrefix)} (--prefix)`
}

/** Says that there is no such stream, and returns the exit code for that. */
export function noStream({ out, config }: Context, streamId: string): number {
  out.note(`There is no stream ${argument(streamId)}${under(config.keyPrefix)}.`)
  return EXIT.notFound
}

/** In whose name a command acts: anybody who can use the store may do so with every stream. */
export async function ownerOf(engine: Engine, streamId: string): Promise<string | undefined> {
  return (await engine.status(streamId))?.owner ?? undefined
}

/** A chunk's data in JSON: text, or base64 for bytes. */
export function jsonOf(data: ChunkData): { data: string } | { base64: string } {
  return typeof data === 'string' ? { data } : { base64: Buffer.from(data).toString('base64') }
}
