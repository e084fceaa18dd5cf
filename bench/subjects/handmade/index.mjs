// The strongest resumable stream that we know how to write in JavaScript alone: one script call for each flush, chunks
// gather while a call is under way, the publication is in the same script, one subscriber connection for all channels,
// XRANGE for what was missed, and gaps found by sequence number. It has no leases, fencing, stop or bounds in memory:
// it does less than Tidemark, and so is a hard peer.

import { Hub } from './hub.mjs'

/**
 * @param {string} url
 * @param {import('./formats.mjs').Mode} mode
 * @returns {Promise<import('../index.mjs').Client>}
 */
export async function connect(url, mode) {
  const hub = await Hub.connect(url, mode)
  return {
    open: async (id) => hub.produce(id),
    async consume(id, on) {
      for await (const event of hub.subscribe(id)) on(event)
    },
  }
}
