// A server whose routes begin an answer that never ends.

import { createEngine } from '../../dist/index.mjs'
import { chatRoutes } from '../../dist/next.mjs'

async function* half() {
  yield { type: 'start' }
  yield { type: 'data-word', data: 'half' }
  await new Promise((resolve) => setTimeout(resolve, 60_000))
}

const { POST } = chatRoutes({
  engine: createEngine(JSON.parse(process.env.ENGINE ?? '{}')),
  authorize: () => 'ann',
  generate: half,
  onFinish: () => process.send?.({ type: 'finished' }),
})
const request = new Request('http://localhost/', { method: 'POST', body: '{ "id": "killed" }' })
const reader = (await POST(request)).body?.getReader()
for (let count = 0; count < 2; count++) await reader?.read()
process.send?.({ type: 'half' })
