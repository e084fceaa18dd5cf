import type { StreamStatus } from '../../index'
import { type Output, printable } from './output'

const COLOURS = {
  active: 'cyan',
  complete: 'green',
  failed: 'red',
  stopped: 'yellow',
  interrupted: 'magenta',
} as const

export const STATES = Object.keys(COLOURS) as StreamStatus['state'][]

/** A stream's state in its colour, padded to the width of the longest. */
export function stateCell(out: Output, state: StreamStatus['state']): string {
  return out.style(COLOURS[state], state.padEnd(11))
}

/** For details that a list leaves out. */
export function noteDamaged(out: Output): (streamId: string, why: string) => void {
  return (streamId, why) => {
    const name = printable(streamId)
    out.note(`${name} is damaged, and left out: ${printable(why)}. tidemark rm ${name} removes it.`)
  }
}

/** The number of chunks of the current or last generation. */
export function chunks({ firstSeq, lastSeq }: StreamStatus): number {
  return lastSeq - firstSeq + 1
}
