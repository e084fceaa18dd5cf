// Text in events, of writers that cut characters.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { durableStreams } from 'tidemark/durable-streams'
import { eachStore } from '../support/stores.mjs'
import { useEngines } from '../support/streams.mjs'
import { deadline } from '../support/wait.mjs'

const TEXT = { 'Content-Type': 'text/plain' }

/** The pieces of a text, each of so many bytes. @param {string} text @param {number} size */
function pieces(text, size) {
  const bytes = Buffer.from(text)
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  )
}

eachStore('text in events', (store) => {
  const open = useEngines(store)

  /** A stream. @param {string} [id] */
  function stream(id = randomUUID(), engine = open()) {
    const handle = durableStreams({ engine, authorize: () => true })
    const send = (query = '', init = {}) =>
      handle(new Request(`http://localhost/v1/stream/${id}${query}`, init))
    return {
      id,
      engine,
      /** @param {Record<string, string>} [headers] */
      put: (headers = {}) => send('', { method: 'PUT', headers: { ...TEXT, ...headers } }),
      /** @param {Uint8Array} body */
      append: (body, headers = {}) => send('', { method: 'POST', headers: { ...TEXT, ...headers }, body }),
      bytes: async (/** @type {string} */ offset) =>
        Buffer.from(await (await send(`?offset=${offset}`)).arrayBuffer()),
      /** Reads events, until so many bytes of text were shown, or the end. @param {string} from */
      async events(from) {
        const { body } = await send(`?offset=${from}&live=sse`)
        const reader = body?.pipeThrough(new TextDecoderStream()).getReader()
        assert.ok(reader)
        const seen = { text: '', offset: from, reads: 0 }
        const read = async () => {
          const { done, value = '' } = await deadline(reader.read(), 20_000, 'an event')
          seen.reads++
          for (const [, type, text = ''] of value.matchAll(/event: (.*)\ndata:(.*)\n\n/g)) {
            if (type === 'data') seen.text += text
            else seen.offset = JSON.parse(text).streamNextOffset
          }
          return done
        }
        return {
          seen,
          read,
          leave: () => reader.cancel(),
          /** @param {string} text */
          async until(text) {
            while (seen.text.length < text.length) assert.equal(await read(), false)
            assert.equal(seen.text, text)
          },
          async end() {
            while (!(await read()));
            return seen.text
          },
        }
      },
    }
  }

  test('a character that an append has cut waits for its other half, and its offset with it', async () => {
    const { put, append, bytes, events } = stream()
    const [one, two, three] = [Buffer.from('a€b'), Buffer.from('😀'), Buffer.from('ü')]
    await put()
    await append(one.subarray(0, 2))
    const { seen, read, until, end } = await events('-1')
    await read()
    assert.equal(seen.text, '')
    // Where the first chunk begins: who comes back with it misses nothing.
    assert.deepEqual(await bytes(seen.offset), one.subarray(0, 2))
    await append(one.subarray(2))
    await until('a€b')
    for (const byte of two) await append(Buffer.from([byte]))
    await until('a€b😀')
    assert.equal(seen.reads, 3, 'an event for each whole character')
    await append(three)
    await until('a€b😀ü')
    // What is never whole is shown at the end.
    await append(two.subarray(0, 1), { 'Stream-Closed': 'true' })
    assert.equal(await end(), 'a€b😀ü\uFFFD')
    assert.equal(await (await events('-1')).end(), 'a€b😀ü\uFFFD')
  })

  test('half a character waits for no more than a chunk that does not continue it', async () => {
    const { id, put, append, events, engine } = stream()
    await put()
    const { seen, until, end } = await events('-1')
    // As one byte of another encoding, at the end of each piece.
    await append(Buffer.from('caf\xe9', 'latin1'))
    await append(Buffer.from(' frapp\xe9', 'latin1'))
    await until('caf\uFFFD')
    // What was not shown begins where who comes back is sent.
    const again = await events(seen.offset)
    await append(Buffer.from([0xe2]))
    await append(Buffer.from([0xe2]))
    await until('caf\uFFFD frapp\uFFFD\uFFFD')
    await again.until(' frapp\uFFFD\uFFFD')
    await engine.log(id).append(Array.from({ length: 2000 }, () => new Uint8Array([0xe2])))
    await until(`caf\uFFFD frapp${'\uFFFD'.repeat(2002)}`)
    await engine.log(id).close()
    assert.equal(await end(), `caf\uFFFD frapp${'\uFFFD'.repeat(2003)}`)
    assert.equal(await again.end(), ` frapp${'\uFFFD'.repeat(2003)}`)
  })

  // Parts of a character; a few, and many, of which each ends within one.
  for (const size of [1, 4, 4096]) {
    test(`pieces of ${size} bytes that are all cut are shown as they come, also to those who come back`, async () => {
      const { put, append, events } = stream()
      await put()
      const whole = `a${'😀'.repeat(size === 4096 ? 5000 : 5)}!`
      const all = pieces(whole, size)
      const reader = await events('-1')
      const parts = []
      let at = '-1'
      let sent = 0
      for (const [index, piece] of all.entries()) {
        await append(piece)
        sent += piece.length
        // Short pieces wait for a character's other parts, long ones do not.
        const least = sent - (size === 4096 ? 3 : 3 * size)
        while (Buffer.byteLength(reader.seen.text) < least) assert.equal(await reader.read(), false)
        assert.ok(whole.startsWith(reader.seen.text))
        // Another connection for each piece.
        if (index === all.length - 1) await append(Buffer.from('.'), { 'Stream-Closed': 'true' })
        const part = await events(at)
        await part.read()
        parts.push(part.seen.text)
        at = part.seen.offset
        await part.leave()
      }
      assert.equal(await reader.end(), `${whole}.`)
      assert.equal(parts.join(''), `${whole}.`)
    })
  }

  test('who comes back before the rest of a character is there gets it whole, also from a fork', async () => {
    const one = stream()
    const fork = stream(`${one.id}-fork`, one.engine)
    await one.put()
    // The first half of what follows is in two chunks, the second of which is one byte.
    await one.append(Buffer.concat([Buffer.from('x'.repeat(2000)), Buffer.from('😀').subarray(0, 1)]))
    await one.append(Buffer.from('😀').subarray(1, 2))
    const first = await one.events('-1')
    await first.until('x'.repeat(2000))
    await first.leave()
    await fork.put({ 'Stream-Forked-From': `/v1/stream/${one.id}` })
    for (const { events, append } of [one, fork]) {
      const later = await events(first.seen.offset)
      await later.read()
      await append(Buffer.concat([Buffer.from('😀').subarray(2), Buffer.from('!')]), {
        'Stream-Closed': 'true',
      })
      assert.equal(await later.end(), '😀!')
      assert.equal(await (await events(first.seen.offset)).end(), '😀!')
    }
  })
})
