// `examples/next-chat`, its production build, when a deploy ends one of two servers in mid-answer.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { prepareNextChat } from '../../scripts/next-chat.mjs'
import { startServers } from '../support/next-chat.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { deadline, until } from '../support/wait.mjs'

await prepareNextChat()

test('G5 SIGTERM: the server is gone within seconds, and its readers are told at once', async () => {
  const [here, there] = await startServers(2, (await sharedRedis()).url)
  assert.ok(here && there)
  const id = randomUUID()
  const messages = [{ id: 'question', role: 'user', parts: [{ type: 'text', text: '15000 words' }] }]
  const asked = await fetch(`${here.origin}/api/chat`, {
    method: 'POST',
    body: JSON.stringify({ id, messages }),
  })
  const path = `/api/chat/${id}/stream`
  const follow = async (/** @type {Response} */ response) => {
    const got = { text: '', end: /** @type {unknown} */ (undefined) }
    const done = (async () => {
      for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) got.text += text
      return 'ended'
    })().catch((error) => error)
    done.then((end) => {
      got.end = end
    })
    await until(() => got.text.includes('text-delta'))
    return { got, done }
  }
  const readers = [
    await follow(asked),
    await follow(await fetch(`${here.origin}${path}`)),
    await follow(await fetch(`${there.origin}${path}`)),
  ]
  const took = await here.terminate()
  assert.ok(took < 5000, `${took} ms`)
  await deadline(Promise.all(readers.map(({ done }) => done)), 2000, 'the readers are told')
  assert.match(String(readers[2]?.got.text), /"errorText":"interrupted: closed"/)
  for (const { got } of readers.slice(0, 2)) assert.ok(got.end !== 'ended' || /interrupted/.test(got.text))
  const after = await fetch(`${there.origin}${path}?after=question`)
  assert.match(await after.text(), /"errorText":"interrupted: closed"/)
})
