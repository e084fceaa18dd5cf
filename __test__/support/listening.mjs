// Where a test's own server listens.

import { once } from 'node:events'
import { after } from 'node:test'

/**
 * Listens on a free port until the test is over or, without one, all tests of the file; connections that are open then are cut.
 * @param {import('node:http').Server} server
 * @param {{ after: (end: () => void) => void }} [t]
 * @returns {Promise<number>} the port
 */
export async function listening(server, t = { after }) {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port
}
