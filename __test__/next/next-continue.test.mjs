// Messages that are continued, by a tool's approval or its output from the browser: whoever comes later gets all of them.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { beforeEach, describe, test } from 'node:test'
import { chatRoutes, consumeSseStream, resumeResponse } from 'tidemark/next'
import {
  alsoWithAi7,
  fetchOf,
  loadSdk,
  openChat,
  readMessage,
  scriptedModel,
  userMessage,
  VERSIONS,
} from '../support/ai.mjs'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

const SCHEMA = { type: 'object', properties: { to: { type: 'string' } } }

/** What a client of the SDK sends, in the two ways that its documentation shows. */
const BODIES = {
  'all messages': undefined,
  'the last message': ({ id, messages }) => ({ body: { id, message: messages.at(-1) } }),
}

const text = (words) => [
  { type: 'text-start', id: 't' },
  { type: 'text-delta', id: 't', delta: words },
  { type: 'text-end', id: 't' },
]

/** Messages as they are stored. */
const stored = (messages) => JSON.parse(JSON.stringify(messages))

eachStore('next-continue', (store) => {
  for (const version of VERSIONS) {
    describe(`ai ${version}`, () => {
      const open = useEngines(store)
      let id = ''
      let keyPrefix = ''
      let sdk
      beforeEach(async () => {
        id = randomUUID()
        // One hook for each.
        keyPrefix = store.prefix()
        sdk = await loadSdk(version)
      })

      const gate = () => {
        let pass = () => {}
        const promise = new Promise((resolve) => {
          pass = () => resolve(undefined)
        })
        return { promise, pass }
      }

      /** Tools: `mail` is run by the server once the user agrees, `locate` by the browser. */
      const tools = () => ({
        mail: sdk.tool({
          inputSchema: sdk.jsonSchema(SCHEMA),
          ...(version > 5 && { needsApproval: true }),
          execute: ({ to }) => ({ sent: to }),
        }),
        locate: sdk.tool({ inputSchema: sdk.jsonSchema(SCHEMA) }),
      })

      /** Routes of a server, whose model follows the script. The model's prompt is of no interest to it. */
      function serve(script, { engine = open({ keyPrefix }), ...options } = {}) {
        const { model, calls } = scriptedModel(version, script)
        const history = new Map()
        const routes = chatRoutes({
          engine,
          authorize: () => 'ann',
          generate: async ({ chatId, messages, signal }) => {
            // Of a client that sends the last message alone, the server has the others.
            const known = history.get(chatId) ?? new Map()
            for (const message of messages) known.set(message.id, message)
            history.set(chatId, known)
            return sdk.streamText({
              model,
              tools: tools(),
              messages: await sdk.convertToModelMessages([...known.values()]),
              abortSignal: signal,
              onError() {},
            })
          },
          ...options,
        })
        return { engine, routes, calls, fetch: fetchOf(routes) }
      }

      const isAnswered = ({ messages }) =>
        sdk.lastAssistantMessageIsCompleteWithToolCalls({ messages }) ||
        (version > 5 && sdk.lastAssistantMessageIsCompleteWithApprovalResponses({ messages }))

      /** A tab of the browser that has these messages. */
      const tab = (server, messages, { after, ...transport } = {}, options) =>
        openChat(sdk, {
          id,
          fetch: server.fetch,
          messages,
          sendAutomaticallyWhen: isAnswered,
          transport: {
            ...transport,
            ...(after && {
              prepareReconnectToStreamRequest: () => ({ api: `/api/chat/${id}/stream?after=${after}` }),
            }),
          },
          ...options,
        })

      const toolsOf = (chat) =>
        chat.messages.at(-1).parts.filter(({ type }) => type.startsWith('tool-') || type === 'dynamic-tool')

      /** What can be told of messages again: before version 7, not what was said to an approval. */
      const told = (messages) =>
        stored(messages).map(({ parts, ...message }) => ({
          ...message,
          parts: parts.map(({ approval, ...part }) =>
            version === 7 && approval ? { ...part, approval } : part,
          ),
        }))

      const says = (chat, words) => JSON.stringify(chat.messages).includes(words)

      const ANSWERS = {
        'a tool that the browser runs': {
          call: { tool: 'locate', input: { to: 'Kiel' } },
          answer: (chat, part) =>
            chat.addToolOutput({ tool: 'locate', toolCallId: part.toolCallId, output: { at: [54.3, 10.1] } }),
          state: 'output-available',
        },
        'a tool that fails in the browser': {
          call: { tool: 'locate', input: { to: 'Kiel' } },
          answer: (chat, part) =>
            chat.addToolOutput({
              tool: 'locate',
              toolCallId: part.toolCallId,
              state: 'output-error',
              errorText: 'No satellites.',
            }),
          state: 'output-error',
        },
        ...(version > 5 && {
          'a tool that is approved': {
            call: { tool: 'mail', input: { to: 'bob' } },
            answer: (chat, part) => chat.addToolApprovalResponse({ id: part.approval.id, approved: true }),
            state: 'output-available',
          },
          'a tool that is denied': {
            call: { tool: 'mail', input: { to: 'bob' } },
            answer: (chat, part) =>
              chat.addToolApprovalResponse({ id: part.approval.id, approved: false, reason: 'Not him.' }),
            state: 'output-denied',
          },
        }),
      }

      for (const [what, { call, answer, state }] of Object.entries(ANSWERS)) {
        for (const [how, prepareSendMessagesRequest] of Object.entries(BODIES)) {
          test(`${what}, of a client that sends ${how}: one message, whole, in every tab and in the database`, async () => {
            const { promise, pass } = gate()
            const saved = new Map()
            const onFinish = async ({ generation, chunks }) => {
              let message
              for await (message of sdk.readUIMessageStream({ stream: chunks() }));
              saved.set(generation, message)
            }
            const script = [
              ['Let me see. ', call],
              ['It is ', promise, 'done. Anything else?'],
            ]
            const server = serve(script, { onFinish })
            const first = tab(server, [], { prepareSendMessagesRequest })
            await first.sendMessage(userMessage('hello', `${id}-hello`))
            const before = structuredClone(first.messages)
            await answer(first, toolsOf(first)[0])
            await until(() => says(first, 'It is'))
            const responded = structuredClone(before)
            responded[1].parts = first.messages[1].parts.slice(0, before[1].parts.length)
            const states = [before.slice(0, 1), before, responded]

            const elsewhere = serve([])
            const live = states.map((messages) => tab(elsewhere, messages))
            const ends = live.map((reader) => reader.resumeStream())
            for (const reader of live) await until(() => says(reader, 'It is'))
            pass()
            await Promise.all(ends)
            await until(() => first.status === 'ready')
            const late = states.map((messages) => tab(elsewhere, messages, { after: before[0].id }))
            // A page that was loaded with the message as it was.
            late.push(tab(elsewhere, before, { after: before[1].id }))
            for (const reader of late) await reader.resumeStream()
            for (const reader of [...live, ...late]) {
              assert.equal(reader.error, undefined)
              assert.deepEqual(told(reader.messages), told(first.messages))
            }

            assert.equal(first.messages.length, 2)
            assert.equal(toolsOf(first)[0].state, state)
            assert.equal(first.messages[1].parts.at(-1).text, 'done. Anything else?')
            assert.equal(server.calls(), 2)
            assert.equal((await elsewhere.fetch(`/api/chat/${id}/stream`)).status, 204)
            assert.equal((await elsewhere.fetch(`/api/chat/${id}/stream?after=other`)).status, 204)
            await until(() => saved.size === 2)
            assert.deepEqual(told([[...saved.values()].at(-1)]), told([first.messages[1]]))
          })
        }
      }

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
          body: JSON.stringify({ id, messages }),
        })
        const live = await readMessage(sdk, response)
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
            await server.fetch('/api/chat', { method: 'POST', body: JSON.stringify({ id, messages }) })
          ).text()
          const { message } = await readMessage(
            sdk,
            await server.fetch(`/api/chat/${id}/stream?after=user-hello`),
          )
          assert.deepEqual(
            stored(message.parts),
            index === 0 ? [{ type: 'text', text: 'kept', state: 'done' }] : [],
          )
        }
      })

      test('a message that is continued again and again, by a client that sends its last message', async () => {
        const step = (to) => [`To ${to}. `, { tool: 'locate', input: { to } }]
        const server = serve([step('Kiel'), step('Rostock'), step('Lübeck'), ['All found.']])
        const first = tab(server, [], { prepareSendMessagesRequest: BODIES['the last message'] })
        await first.sendMessage(userMessage('hello'))
        for (let calls = 1; calls < 4; calls++) {
          await until(
            () => server.calls() === calls && first.status === 'ready' && toolsOf(first).length === calls,
          )
          const later = tab(
            server,
            first.messages.slice(0, 1),
            { after: 'user-hello' },
            { sendAutomaticallyWhen: undefined },
          )
          await later.resumeStream()
          assert.deepEqual(told(later.messages), told(first.messages), `after ${calls} calls`)
          const { toolCallId } = toolsOf(first).at(-1)
          await first.addToolOutput({ tool: 'locate', toolCallId, output: calls })
        }
        await until(() => says(first, 'All found.') && first.status === 'ready')
        assert.equal(first.messages.length, 2)
        const later = tab(server, first.messages.slice(0, 1), { after: 'user-hello' })
        await later.resumeStream()
        assert.deepEqual(told(later.messages), told(first.messages))
      })

      test('a client whose requests say nothing of messages keeps the one that it continues', async () => {
        const server = serve([['Let me see. ', { tool: 'locate', input: { to: 'Kiel' } }], ['Found.']], {
          generate: ({ signal }) =>
            sdk.streamText({ model, tools: tools(), prompt: 'hello', abortSignal: signal, onError() {} }),
        })
        const { model } = scriptedModel(version, [
          ['Let me see. ', { tool: 'locate', input: { to: 'Kiel' } }],
          ['Found.'],
        ])
        const first = tab(server, [], {
          prepareSendMessagesRequest: ({ id }) => ({ body: { id, text: 'hello' } }),
        })
        await first.sendMessage(userMessage('hello'))
        await first.addToolOutput({ tool: 'locate', toolCallId: toolsOf(first)[0].toolCallId, output: 1 })
        await until(() => says(first, 'Found.') && first.status === 'ready')
        assert.equal(first.messages.length, 2)
      })

      test('lastMessage: what is continued as the database has it, whatever the client sends', async () => {
        const { model } = scriptedModel(version, [
          ['Let me see. ', { tool: 'locate', input: { to: 'Kiel' } }],
          ['Found.'],
        ])
        const database = []
        const server = serve([], {
          lastMessage: ({ body, chatId, owner }) => {
            assert.deepEqual([chatId, owner], [id, 'ann'])
            if (body.text) database.push(userMessage(body.text))
            else
              Object.assign(
                database[1].parts.find(({ type }) => type === 'tool-locate'),
                { state: 'output-available', output: body.output },
              )
            return database.at(-1)
          },
          generate: ({ signal }) =>
            sdk.streamText({ model, tools: tools(), prompt: 'hello', abortSignal: signal, onError() {} }),
        })
        const prepareSendMessagesRequest = ({ id, messages }) => {
          const last = messages.at(-1)
          return {
            body: {
              id,
              ...(last.role === 'user' ? { text: 'hello' } : { output: last.parts.at(-1).output }),
            },
          }
        }
        const first = tab(server, [], { prepareSendMessagesRequest })
        await first.sendMessage(userMessage('hello'))
        database.push(structuredClone(first.messages[1]))
        await first.addToolOutput({ tool: 'locate', toolCallId: toolsOf(first)[0].toolCallId, output: 1 })
        await until(() => says(first, 'Found.') && first.status === 'ready')
        assert.equal(first.messages.length, 2)
        const later = tab(server, first.messages.slice(0, 1), { after: 'user-hello' })
        await later.resumeStream()
        assert.deepEqual(told(later.messages), told(first.messages))
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
        await until(async () => (await waiting.engine.status(id))?.state === 'active')
        const later = tab(waiting, messages.slice(0, 1))
        const resumed = later.resumeStream()
        await until(() => says(later, 'So far.'))
        await waiting.fetch(`/api/chat/${id}/stream`, { method: 'DELETE' })
        await Promise.all([asked, resumed])
        assert.deepEqual(told(later.messages), told(first.messages))
      })

      for (const given of ['with its messages', 'without them']) {
        test(`consumeSseStream ${given}: whoever resumes gets a continued message`, async () => {
          const { promise, pass } = gate()
          const approves = version > 5
          const call = approves
            ? { tool: 'mail', input: { to: 'bob' } }
            : { tool: 'locate', input: { to: 'Kiel' } }
          const { model } = scriptedModel(version, [
            ['Let me see. ', call],
            ['It is ', promise, 'done.'],
          ])
          const engine = open({ keyPrefix })
          const owner = 'ann'
          const server = {
            fetch: async (_, { method, body }) => {
              if (method === 'GET')
                return resumeResponse(engine, new Request(`http://localhost/?after=user-hello`), id, {
                  owner,
                })
              const { messages } = JSON.parse(body)
              const controller = new AbortController()
              const answer = sdk.streamText({
                model,
                tools: tools(),
                messages: await sdk.convertToModelMessages(messages),
                abortSignal: controller.signal,
              })
              return answer.toUIMessageStreamResponse({
                originalMessages: messages,
                generateMessageId: randomUUID,
                consumeSseStream: consumeSseStream(engine, id, {
                  owner,
                  controller,
                  ...(given === 'with its messages' && { messages, aiVersion: version }),
                }),
              })
            },
          }
          const first = tab(server, [])
          await first.sendMessage(userMessage('hello'))
          await until(async () => (await engine.status(id))?.state === 'complete')
          const ended = await engine.status(id)
          const [part] = toolsOf(first)
          if (approves) await first.addToolApprovalResponse({ id: part.approval.id, approved: true })
          else await first.addToolOutput({ tool: 'locate', toolCallId: part.toolCallId, output: 1 })
          await until(() => says(first, 'It is'))
          await until(async () => (await engine.status(id))?.lastSeq > ended.lastSeq)
          const later = tab(server, first.messages.slice(0, 1))
          const resumed = later.resumeStream()
          await until(() => says(later, 'It is'))
          pass()
          await resumed
          await until(() => first.status === 'ready')
          const shapes = (chat) =>
            chat.messages.map(({ id, parts }) => [
              id,
              ...parts.map(({ type, text, state, output }) => [type, text, state, output]),
            ])
          if (given === 'with its messages') {
            assert.deepEqual(told(later.messages), told(first.messages))
            const late = tab(server, first.messages.slice(0, 1))
            await late.resumeStream()
            assert.deepEqual(told(late.messages), told(first.messages))
          } else if (approves) assert.deepEqual(shapes(later), shapes(first))
          else
            assert.deepEqual(
              later.messages.map(({ id }) => id),
              first.messages.map(({ id }) => id),
            )
        })
      }
    })
  }
})

alsoWithAi7(import.meta.url)
