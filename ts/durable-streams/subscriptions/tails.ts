import type { Engine } from '../../core/engine'
import { cursorAt } from '../../util/cursor'
import { offsetOf } from '../offsets'
import type { Tail, Tails } from './state'

/** The most streams of one request. */
const AT_ONCE = 64

/** Where streams end. */
export async function tailsOf(engine: Engine, paths: Iterable<string>): Promise<Tails> {
  const all = [...new Set(paths)]
  const tails = new Map<string, Tail | null>()
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const some = all.slice(at, at + AT_ONCE)
    for (const [index, status] of (await engine.glance(some)).entries()) {
      const tail = status && {
        offset: offsetOf(cursorAt(status.generation, status.lastSeq), status.log?.fork?.origins),
        isEmpty: status.lastSeq < status.firstSeq,
        owner: status.owner,
      }
      tails.set(some[index] as string, tail)
    }
  }
  return tails
}
