// Compiled, not run (`npm run lint`): what an inspector is made with.

import { createServer } from 'node:http'
import type { Engine } from 'tidemark'
import { type Inspector, type InspectorAccess, inspector, toNodeListener } from 'tidemark/inspector'

declare const engine: Engine

const inspect: Inspector = inspector({ engine, authorize: async () => ({ owner: 'ann', write: false }) })
inspector({ engine, authorize: () => null, write: true, showData: true, onError: () => 'words' })
createServer(toNodeListener(inspect))
const access: InspectorAccess = {}
console.log(access)
// @ts-expect-error: somebody has to say who may look
inspector({ engine })
// @ts-expect-error: a name is no answer
inspector({ engine, authorize: () => 'ann' })
