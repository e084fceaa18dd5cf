// Messages that are continued, by a tool's approval or its output from the browser: whoever comes later gets all of them.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, test } from 'node:test'
import { consumeSseStream, resumeResponse } from 'tidemark/next'
import { alsoWithAi7, scriptedModel, userMessage, VERSIONS } from '../support/ai.mjs'
import { says, toolsOf, useContinuedChat } from '../support/continuing.mjs'
import { gate } from '../support/gate.mjs'
import { eachStore } from '../support/stores.mjs'
import { until } from '../support/wait.mjs'

/** What a client of the SDK sends, in the two ways that its documentation shows. */
const BODIES = {
  'all messages': undefined,
  'the last message': ({ id, messages }) => ({ body: { id, message: messages.at(-1) } }),
}

eachStore('next-continue', (store) => {
  for (const version of VERSIONS) {
    describe(`ai ${version}`, () => {
      const { scene, open, tools, serve, tab, told } = useContinuedChat(store, version)

      /** What a model says that looks up where somebody is. */
      const LOOKS_UP = [['Let me see. ', { tool: 'locate', input: { to: 'Kiel' } }], ['Found.']]
      /** Its call, where the request's messages are not those of the answer. */
      const lookUp = (model, { signal }) =>
        scene.sdk.streamText({ model, tools: tools(), prompt: 'hello', abortSignal: signal, onError() {} })

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
            const { opened, open: pass } = gate()
            const saved = new Map()
            const onFinish = async ({ generation, chunks }) => {
              let message
              for await (message of scene.sdk.readUIMessageStream({ stream: chunks() }));
              saved.set(generation, message)
            }
            const script = [
              ['Let me see. ', call],
              ['It is ', opened, 'done. Anything else?'],
            ]
            const server = serve(script, { onFinish })
            const first = tab(server, [], { prepareSendMessagesRequest })
            await first.sendMessage(userMessage('hello', `${scene.id}-hello`))
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
            assert.equal((await elsewhere.fetch(`/api/chat/${scene.id}/stream`)).status, 204)
            assert.equal((await elsewhere.fetch(`/api/chat/${scene.id}/stream?after=other`)).status, 204)
            await until(() => saved.size === 2)
            assert.deepEqual(told([[...saved.values()].at(-1)]), told([first.messages[1]]))
          })
        }
      }

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
        const server = serve(LOOKS_UP, {
          generate: (call) => lookUp(model, call),
        })
        const { model } = scriptedModel(version, LOOKS_UP)
        const first = tab(server, [], {
          prepareSendMessagesRequest: ({ id }) => ({ body: { id, text: 'hello' } }),
        })
        await first.sendMessage(userMessage('hello'))
        await first.addToolOutput({ tool: 'locate', toolCallId: toolsOf(first)[0].toolCallId, output: 1 })
        await until(() => says(first, 'Found.') && first.status === 'ready')
        assert.equal(first.messages.length, 2)
      })

      test('lastMessage: what is continued as the database has it, whatever the client sends', async () => {
        const { model } = scriptedModel(version, LOOKS_UP)
        const database = []
        const server = serve([], {
          lastMessage: ({ body, chatId, owner }) => {
            assert.deepEqual([chatId, owner], [scene.id, 'ann'])
            if (body.text) database.push(userMessage(body.text))
            else
              Object.assign(
                database[1].parts.find(({ type }) => type === 'tool-locate'),
                { state: 'output-available', output: body.output },
              )
            return database.at(-1)
          },
          generate: (call) => lookUp(model, call),
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

      for (const given of ['with its messages', 'without them']) {
        test(`consumeSseStream ${given}: whoever resumes gets a continued message`, async () => {
          const { opened, open: pass } = gate()
          const approves = version > 5
          const call = approves
            ? { tool: 'mail', input: { to: 'bob' } }
            : { tool: 'locate', input: { to: 'Kiel' } }
          const { model } = scriptedModel(version, [
            ['Let me see. ', call],
            ['It is ', opened, 'done.'],
          ])
          const engine = open({ keyPrefix: scene.keyPrefix })
          const owner = 'ann'
          const server = {
            fetch: async (_, { method, body }) => {
              if (method === 'GET')
                return resumeResponse(engine, new Request(`http://localhost/?after=user-hello`), scene.id, {
                  owner,
                })
              const { messages } = JSON.parse(body)
              const controller = new AbortController()
              const answer = scene.sdk.streamText({
                model,
                tools: tools(),
                messages: await scene.sdk.convertToModelMessages(messages),
                abortSignal: controller.signal,
              })
              return answer.toUIMessageStreamResponse({
                originalMessages: messages,
                generateMessageId: randomUUID,
                consumeSseStream: consumeSseStream(engine, scene.id, {
                  owner,
                  controller,
                  ...(given === 'with its messages' && { messages, aiVersion: version }),
                }),
              })
            },
          }
          const first = tab(server, [])
          await first.sendMessage(userMessage('hello'))
          await until(async () => (await engine.status(scene.id))?.state === 'complete')
          const ended = await engine.status(scene.id)
          const [part] = toolsOf(first)
          if (approves) await first.addToolApprovalResponse({ id: part.approval.id, approved: true })
          else await first.addToolOutput({ tool: 'locate', toolCallId: part.toolCallId, output: 1 })
          await until(() => says(first, 'It is'))
          await until(async () => (await engine.status(scene.id))?.lastSeq > ended.lastSeq)
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
