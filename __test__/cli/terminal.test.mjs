// The command line on a terminal: widths, colours, and bytes that could command it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { ls } from '../../dist/cli/ls.js'
import output from '../../dist/cli/output.js'
import table from '../../dist/cli/table.js'
import { tail } from '../../dist/cli/tail.js'
import { top } from '../../dist/cli/top.js'
import { environment, main, scene } from '../support/cli.mjs'
import { reap } from '../support/reaper.mjs'
import { sharedRedis } from '../support/stores.mjs'
import { produceAll } from '../support/streams.mjs'
import { deadline } from '../support/wait.mjs'

test('long ids lose their middle at the edge of a terminal, wherever they are wide', () => {
  assert.equal(table.cut('chat-1', 6), 'chat-1')
  assert.equal(table.cut('chat-0123456789', 9), 'chat…6789')
  assert.equal(table.cut('0123456789', 4), '01…9')
  assert.equal(table.cut('日本語テキスト', 8), '日本…ト')
  assert.equal(table.width('é日😀'), 5)
  for (let columns = 2; columns < 30; columns++)
    assert.ok(table.width(table.cut('a日b本c語😀d'.repeat(3), columns)) <= columns)
})

test('colours and lines that are drawn again are for terminals', () => {
  /** @param {object} [terminal] */
  const stream = (terminal) => ({
    text: '',
    /** @param {string | Uint8Array} text */
    write(text) {
      this.text += text
      return true
    },
    ...terminal,
  })
  const terminal = () => stream({ isTTY: true, hasColors: () => true })
  const [file, log] = [stream(), stream()]
  const plain = new output.Output(file, log, false)
  assert.equal(plain.style('red', 'x'), 'x')
  plain.progress('too early')
  plain.clear()
  assert.equal(log.text, '')
  const [screen, errors] = [terminal(), terminal()]
  const drawn = new output.Output(screen, errors, false)
  assert.equal(drawn.style('red', 'x'), '\u001b[31mx\u001b[0m')
  const colourless = new output.Output(stream({ isTTY: true, hasColors: () => false }), errors, false)
  assert.equal(colourless.style('red', 'x'), 'x')
  const begin = performance.now()
  while (errors.text === '' && performance.now() - begin < 5_000) drawn.progress('1 of 2')
  assert.equal(errors.text, '\r\u001b[K1 of 2')
  drawn.progress('2 of 2')
  drawn.line('done')
  assert.equal(errors.text, '\r\u001b[K1 of 2\r\u001b[K')
  assert.equal(screen.text, 'done\n')
  assert.equal(output.printable('a\u001b[31m\nü\u202e😀'), 'a\\u{1b}[31m\\u{a}ü\\u{202e}😀')
  assert.deepEqual([0, 1023, 1024, 1536 * 1024, 5e9].map(output.bytes), [
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 MiB',
    '4.7 GiB',
  ])
  assert.deepEqual([-5, 999, 59_999, 3_599_999, 7_200_000, 1e9].map(output.duration), [
    '0 ms',
    '999 ms',
    '59 s',
    '59 min',
    '2 h',
    '11 d',
  ])
})

test('ls and top fit the terminal', async (t) => {
  const { engine, prefix, redis } = await scene(t)
  const producer = await engine.produce(`chat-${'0123456789'.repeat(12)}-end`, { owner: 'o'.repeat(60) })
  await producer.append('one')
  for (const columns of [80, 120]) {
    let written = ''
    const write = (/** @type {string} */ text) => {
      written += text
      return true
    }
    const screen = { isTTY: true, columns, rows: 24, write }
    const out = new output.Output(screen, screen, false)
    const { signal } = new AbortController()
    const context = { engine, args: [], out, signal, address: redis.url, config: { keyPrefix: prefix } }
    await ls.run(/** @type {any} */ ({ ...context, values: {} }))
    assert.match(written, /chat-.*…\d*-end\n/)
    await top.run(/** @type {any} */ ({ ...context, values: { times: '1' } }))
    assert.ok(written.includes('\u001b[H'), 'over what was there')
    // On a busy machine there is progress to be told, which is drawn over.
    const seen = written.replaceAll(/[^\n]*\r\p{Cc}\[K/gu, '')
    const rows = seen.replaceAll(/\p{Cc}\[[KHJ]/gu, '').split('\n')
    assert.equal(rows.filter((row) => /^1 live of 1 streams, 1 producers/.test(row)).length, 1)
    assert.equal(rows.filter((row) => /chat-.*…\d*-end$/.test(row)).length, 2)
    for (const row of rows.filter((row) => row.includes('streams') || row.includes('…')))
      assert.ok(table.width(row) <= columns, row)
  }
  await producer.complete()
})

test('tail shows bytes on a terminal as the text that they are, without what could command it', async () => {
  const engine = createEngine({ url: (await sharedRedis()).url, keyPrefix: 'test-tail-bytes' })
  const evil = Buffer.from('\u001b]0;owned\u0007 a\u0000\n')
  const euro = Buffer.from('€')
  await produceAll(engine, 's', [
    evil,
    euro.subarray(0, 1),
    euro.subarray(1),
    '\u001b[2J',
    euro.subarray(0, 2),
  ])
  let text = ''
  /** @param {string | Uint8Array} piece @param {(error?: Error) => void} [done] */
  const write = (piece, done) => {
    text += piece
    done?.()
    return true
  }
  const screen = { isTTY: true, write }
  const out = new output.Output(screen, screen, false)
  const { signal } = new AbortController()
  assert.equal(await tail.run(/** @type {any} */ ({ engine, args: ['s'], out, values: {}, signal })), 0)
  assert.equal(text, '\\u{1b}]0;owned\\u{7} a\\u{0}\n€\\u{1b}[2J\ufffd\n')
  await engine.close()
})

test('colours appear on a terminal, and not with NO_COLOR', async (t) => {
  const redis = await sharedRedis()
  const probe = spawn('script', ['--version'])
  let known = ''
  probe.stdout.on('data', (text) => {
    known += text
  })
  await Promise.race([once(probe, 'close'), once(probe, 'error')])
  if (!known.includes('util-linux')) return t.skip('needs the script program of util-linux')
  /** @param {Record<string, string>} env */
  const terminal = async (env) => {
    const command = `'${process.execPath}' '${main}' doctor`
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      env: environment({ TIDEMARK_URL: redis.url, TERM: 'xterm-256color', ...env }),
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    reap(child)
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (more) => {
      text += more
    })
    await deadline(once(child, 'close'), 20_000, 'the terminal')
    return text
  }
  assert.ok((await terminal({})).includes('\u001b[32m✓\u001b[0m Node.js'))
  const plain = await terminal({ NO_COLOR: '1' })
  assert.ok(plain.includes('✓ Node.js') && !plain.includes('\u001b['))
})
