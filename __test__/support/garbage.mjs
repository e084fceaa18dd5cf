// Collecting garbage at will.

import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

/** Collects what nobody holds, and what that alone has held. */
export async function collectAll() {
  for (let round = 0; round < 3; round++) {
    await turn()
    collect()
  }
}
