import type { ChunkData } from '../../index'
import type { Native, Parcel } from './native'

/**
 * A large chunk that has arrived and waits to be read. Until then the native side holds it, where all readers share it: a reader
 * that never asks for it costs no copy.
 */
export class Large {
  /** Its length, which is what it costs. */
  readonly bytes: number
  readonly #native: Native
  readonly #parcel: Parcel

  constructor(native: Native, parcel: Parcel, bytes: number) {
    this.#native = native
    this.#parcel = parcel
    this.bytes = bytes
  }

  take(): ChunkData {
    return unpacked(this.#native, this.#parcel)
  }
}

/** A parcel's chunk. */
export function unpacked(native: Native, parcel: Parcel): ChunkData {
  const data = native.unpack(parcel)
  // As other chunks are: bytes in memory of their own, and no more than a Uint8Array.
  return typeof data === 'string' ? data : new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}
