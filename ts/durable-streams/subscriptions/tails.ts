import type { Engine } from '../../core/engine'
import { cursorAt } from '../../util/cursor'
import { offsetOf } from '../offsets'
import type { Tail, Tails } from './state'

/** The most streams of one request: as `MOST_LOOKS` in `src/store/contract.rs`. */
const AT_ONCE = 256

/** Where streams end. */
export async function tailsOf(engine: Engine, paths: Iterable<string>): Promise<Tails> {
  const all = [...new Set(paths)]
  const tails = new Map<string, Tail | null>()
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const some = all.slice(at, at + AT_ONCE)
    for (const [index, found] of (await engine.tails(some)).entries()) {
      const tail = found && {
        offset: offsetOf(cursorAt(found.generation, found.seq), found.origins),
        isEmpty: found.seq <= found.base,
        owner: found.owner,
      }
      tails.set(some[index] as string, tail)
    }
  }
  return tails
}
