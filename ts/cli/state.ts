import type { StreamStatus } from '../../index'
import type { Output } from './output'

const COLOURS = {
  active: 'cyan',
  complete: 'green',
  failed: 'red',
  stopped: 'yellow',
  interrupted: 'magenta',
} as const

export const STATES = Object.keys(COLOURS) as StreamStatus['state'][]

/** A stream's state in its colour, as wide as the widest. */
export function stateCell(out: Output, state: StreamStatus['state']): string {
  return out.style(COLOURS[state], state.padEnd(11))
}

/** Chunks of the current or last generation. */
export function chunks({ firstSeq, lastSeq }: StreamStatus): number {
  return lastSeq - firstSeq + 1
}
