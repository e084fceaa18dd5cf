// Prints the table of docs/next.md about connections that are cut.
//
//   node scripts/cuts.mjs            on Node.js 22; `WorkflowChatTransport` is installed into .cache/workflow

import { rowOf, SCENES, tableOf } from '../__test__/support/cuts.mjs'
import { setup } from './setup.mjs'

await setup(['workflow'])
// What the transports say of each cut.
console.error = () => {}
console.warn = () => {}
const ends = /** @type {(() => unknown)[]} */ ([])
const rows = /** @type {Map<string, string[]>} */ (new Map())
for (const name of Object.keys(SCENES)) {
  rows.set(name, await rowOf({ after: (end) => ends.push(end) }, name))
  for (const end of ends.splice(0)) await end()
}
console.log((await tableOf(rows)).join('\n'))
