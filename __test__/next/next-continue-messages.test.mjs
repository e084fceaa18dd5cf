// What of a message is kept when it is continued: its parts, its place, and what the client has made of it meanwhile.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { alsoWithAi7, readMessage, userMessage, VERSIONS } from '../support/ai.mjs'
import { says, stored, useContinuedChat } from '../support/continuing.mjs'
import { eachStore } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

const text = (words) => [
  { type: 'text-start', id: 't' },
  { type: 'text-delta', id: 't', delta: words },
  { type: 'text-end', id: 't' },
]

eachStore('next-continue-messages', (store) => {
  for (const version of VERSIONS) {
    describe(`ai ${version}`, () => {
      const { scene, serve, tab, told } = useContinuedChat(store, version)

      const meta = { model: { signature: 'x' } }
      const call = (state, rest) => ({
        type: 'tool-mail',
        toolCallId: `call ${state}`,
        state,
        input: { to: 'bob' },
        ...rest,
      })

      /** One part of each kind and state that this version has. */
      const PARTS = [
        { type: 'step-start' },
        { type: 'reasoning', id: '0', text: 'Hm. ', state: 'done', providerMetadata: meta },
        { type: 'text', text: 'héllo 🌊', state: 'done', providerMetadata: meta },
        { type: 'text', text: '', state: 'done' },
        { type: 'source-url', sourceId: 's', url: 'https://example.org', title: 'Example' },
        {
          type: 'source-document',
          sourceId: 'd',
          mediaType: 'text/plain',
          title: 'Doc',
          filename: 'doc.txt',
        },
        { type: 'file', mediaType: 'text/plain', url: 'data:text/plain,hello' },
        { type: 'data-weather', id: 'kiel', data: { wind: 7 } },
        { type: 'data-weather', data: [null] },
        call('output-available', { output: { sent: true } }),
        call('output-available', {
          toolCallId: 'null',
          input: null,
          output: null,
          callProviderMetadata: meta,
        }),
        call('output-error', { errorText: 'No.' }),
        call('output-available', { toolCallId: 'by provider', output: 1, providerExecuted: true }),
        {
          ...call('output-available'),
          toolCallId: 'dynamic',
          type: 'dynamic-tool',
          toolName: 'any',
          output: [],
        },
        {
          ...call('output-error'),
          toolCallId: 'dynamic error',
          type: 'dynamic-tool',
          toolName: 'any',
          errorText: '',
        },
        ...(version < 7
          ? [
              call('output-error', {
                toolCallId: 'bad input',
                input: undefined,
                rawInput: '{',
                errorText: 'Not JSON.',
              }),
            ]
          : [
              call('approval-responded', {
                approval: { id: 'a', approved: true, signature: 's', isAutomatic: true },
              }),
              call('output-available', {
                toolCallId: 'sent',
                output: 1,
                approval: { id: 'b', approved: true },
              }),
              call('output-denied', {
                approval: { id: 'c', approved: false, reason: 'No.', requestReason: 'Why?' },
              }),
              call('output-available', {
                toolCallId: 'told',
                output: 1,
                resultProviderMetadata: meta,
                title: 'Mail',
              }),
              { type: 'reasoning-file', mediaType: 'text/plain', url: 'data:text/plain,hm' },
              { type: 'custom', kind: 'a.b', providerMetadata: meta },
              { type: 'steering-message', id: 'steer', parts: [{ type: 'text', text: 'left' }] },
            ]),
        ...(version > 5 ? [call('approval-requested', { approval: { id: 'd' } })] : []),
        call('input-available', { callProviderMetadata: meta }),
        { type: 'step-start' },
        call('input-streaming', { input: { to: 'bo' }, rawInput: '{"to":"bo' }),
        { type: 'text', text: 'cut o', state: 'streaming' },
      ]

      test('every kind of part, in every state, is told as it is', async () => {
        const long = { type: 'text', text: `${'🌊'.repeat(400_000)}.`, state: 'done' }
        const message = {
          id: 'm',
          role: 'assistant',
          metadata: { at: { sea: true } },
          parts: [...PARTS, long],
        }
        const messages = [userMessage('hello'), message]
        const generate = () =>
          ReadableStream.from([{ type: 'start', messageMetadata: { at: { low: 1 } } }, { type: 'finish' }])
        const server = serve([], { generate, aiVersion: version })
        const response = await server.fetch('/api/chat', {
          method: 'POST',
          body: JSON.stringify({ id: scene.id, messages }),
        })
        const live = await readMessage(scene.sdk, response)
        assert.deepEqual(
          live.chunks.map(({ type }) => type),
          ['start', 'finish'],
          'who asked has the parts',
        )
        const called = []
        const later = tab(
          server,
          messages.slice(0, 1),
          { after: 'user-hello' },
          {
            onToolCall: ({ toolCall }) => void called.push(toolCall.toolCallId),
            sendAutomaticallyWhen: undefined,
          },
        )
        await later.resumeStream()
        assert.equal(later.error, undefined)
        const [, { parts, ...rest }] = stored(later.messages)
        assert.deepEqual(rest, { id: 'm', role: 'assistant', metadata: { at: { sea: true, low: 1 } } })
        for (const [index, part] of stored(message.parts).entries()) assert.deepEqual(parts[index], part)
        assert.equal(parts.length, message.parts.length)
        assert.ok(!called.includes('call output-available') && called.includes('call input-available'))
      })

      test('what no message of the SDK has in it costs nothing but itself', async () => {
        const parts = [
          null,
          7,
          'text',
          {},
          { type: 7 },
          { type: 'text' },
          { type: 'constructor' },
          { type: 'tool-' },
          { type: 'tool-x', toolCallId: 7 },
          { type: 'dynamic-tool', toolCallId: 'x' },
          { type: 'text', text: 'kept', state: 'done' },
        ]
        const generate = () => ReadableStream.from([{ type: 'start' }, { type: 'finish' }])
        const server = serve([], { generate })
        for (const [index, given] of [parts, undefined, 'none', {}].entries()) {
          const messages = [userMessage('hello'), { id: 'm', role: 'assistant', parts: given }]
          await (
            await server.fetch('/api/chat', {
              method: 'POST',
              body: JSON.stringify({ id: scene.id, messages }),
            })
          ).text()
          const { message } = await readMessage(
            scene.sdk,
            await server.fetch(`/api/chat/${scene.id}/stream?after=user-hello`),
          )
          assert.deepEqual(
            stored(message.parts),
            index === 0 ? [{ type: 'text', text: 'kept', state: 'done' }] : [],
          )
        }
      })

      test('a message that the client has cut is continued as it is now', async () => {
        const server = serve([['One. '], ['Two.']])
        const first = tab(server, [])
        await first.sendMessage(userMessage('hello'))
        const [question, answer] = first.messages
        first.messages = [question, { ...answer, parts: [{ type: 'text', text: 'Half of', state: 'done' }] }]
        await first.sendMessage()
        const later = tab(server, [question, answer], { after: question.id })
        await later.resumeStream()
        assert.deepEqual(told(later.messages), told(first.messages))
        assert.match(JSON.stringify(first.messages), /Half of.*Two\./)
      })

      test('regenerate: a message of its own, whatever comes before it', async () => {
        const server = serve([['One.'], ['Two.'], ['Three.']])
        const first = tab(server, [])
        await first.sendMessage(userMessage('hello'))
        await first.regenerate()
        assert.equal(first.messages.length, 2)
        assert.ok(says(first, 'Two.') && !says(first, 'One.'))
        const later = tab(server, first.messages.slice(0, 1), { after: 'user-hello' })
        await later.resumeStream()
        assert.deepEqual(told(later.messages), told(first.messages))
        if (version === 5) return
        // Of two answers in a row.
        const other = {
          id: 'other',
          role: 'assistant',
          parts: [{ type: 'text', text: 'Another one.', state: 'done' }],
        }
        first.messages = [...first.messages, other]
        await first.regenerate({ messageId: 'other' })
        assert.ok(says(first, 'Two.') && says(first, 'Three.'), 'the answer before it stays')
        assert.equal(first.messages.length, 3)
      })

      test('an earlier message that is continued stays where it is', { skip: version === 5 }, async () => {
        const asks = [
          { type: 'tool-input-available', toolCallId: 'mail', toolName: 'mail', input: {} },
          { type: 'tool-approval-request', toolCallId: 'mail', approvalId: 'a' },
        ]
        const answers = [
          asks,
          text('Yes?'),
          [{ type: 'tool-output-available', toolCallId: 'mail', output: 'sent' }, ...text('Sent it.')],
        ]
        const generate = () =>
          ReadableStream.from([{ type: 'start' }, ...(answers.shift() ?? []), { type: 'finish' }])
        const server = serve([], { generate, aiVersion: version })
        const first = tab(server, [], {}, { sendAutomaticallyWhen: undefined })
        await first.sendMessage(userMessage('mail him'))
        await first.sendMessage(userMessage('and now?'))
        await first.addToolApprovalResponse({
          id: first.messages[1].parts.at(-1).approval.id,
          approved: true,
        })
        const before = structuredClone(first.messages)
        await first.sendMessage()
        assert.deepEqual(
          first.messages.map(({ id }) => id),
          before.map(({ id }) => id),
        )
        assert.match(JSON.stringify(first.messages[1]), /sent.*Sent it\./)
        assert.match(JSON.stringify(first.messages[3]), /Yes\?/)
        const later = tab(server, before, { after: before[2].id })
        await later.resumeStream()
        assert.deepEqual(told(later.messages), told(first.messages))
      })

      test('an answer that fails, or is stopped, leaves the message that it would have continued', async () => {
        const message = {
          id: 'm',
          role: 'assistant',
          parts: [{ type: 'text', text: 'So far.', state: 'done' }],
        }
        const messages = [userMessage('hello'), message]
        // biome-ignore lint/correctness/useYield: it never comes to that
        async function* failing() {
          throw new Error('no')
        }
        for (const generate of [
          () => Promise.reject(new Error('no')),
          () => ReadableStream.from(failing()),
        ]) {
          const server = serve([], { generate, onError: () => 'no' })
          const first = tab(server, messages)
          await first.sendMessage()
          assert.equal(first.error.message, 'no')
          const later = tab(server, messages.slice(0, 1), { after: 'user-hello' })
          await later.resumeStream()
          assert.equal(later.error.message, 'no')
          assert.deepEqual(told(later.messages), told(first.messages))
        }
        const waiting = serve([], { generate: ({ signal }) => waitFor(signal) })
        async function* waitFor(signal) {
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
        }
        const first = tab(waiting, messages, {}, { sendAutomaticallyWhen: undefined })
        const asked = first.sendMessage()
        await until(async () => (await waiting.engine.status(scene.id))?.state === 'active')
        const later = tab(waiting, messages.slice(0, 1))
        const resumed = later.resumeStream()
        await until(() => says(later, 'So far.'))
        await waiting.fetch(`/api/chat/${scene.id}/stream`, { method: 'DELETE' })
        await Promise.all([asked, resumed])
        assert.deepEqual(told(later.messages), told(first.messages))
      })
    })
  }
})

alsoWithAi7(import.meta.url)
