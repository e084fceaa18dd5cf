// The commands on streams in Redis: what they print, and what they change.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEngine } from 'tidemark'
import { cli, lines, scene } from '../support/cli.mjs'
import { produceMany } from '../support/many.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { produceAll, texts } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

test('ls and show tell what there is', async (t) => {
  const { engine, run } = await scene(t)
  await produceAll(engine, 'first', texts(5), { owner: 'user-1', metadata: { model: 'x' } })
  await (await engine.produce('second')).fail('why')
  const live = await engine.produce('live \u001b[31m')
  await live.append('one')
  const listed = await run('ls')
  assert.equal(listed.code, 0)
  assert.match(listed.stdout, /^STATE +CHUNKS +STORED +LAST WRITE +EXPIRES +OWNER +STREAM\n/)
  assert.match(listed.stdout, /^complete +5 .* user-1 +first$/m)
  assert.match(listed.stdout, /^failed +0 .* – +second$/m)
  assert.match(listed.stdout, /^active +1 .* – +live \\u\{1b\}\[31m$/m)
  assert.equal(listed.stderr, '3 streams.\n')
  assert.ok(!listed.stdout.includes('\u001b'), 'no colours in a pipe, and none of others')
  const failed = lines((await run('ls', '--json', '--state', 'failed', '--state', 'stopped')).stdout)
  assert.deepEqual(
    failed.map(({ streamId, reason }) => ({ streamId, reason })),
    [{ streamId: 'second', reason: 'why' }],
  )
  assert.equal(lines((await run('ls', '--json', '-n', '2')).stdout).length, 2)

  const shown = await run('show', 'first')
  for (const line of [
    /^state +complete$/m,
    /^chunks +5 \(seq 1 to 5\)$/m,
    /^owner +user-1$/m,
    /^metadata +\{"model":"x"\}$/m,
  ]) {
    assert.match(shown.stdout, line)
  }
  const [status] = lines((await run('show', '--json', 'first')).stdout)
  assert.deepEqual([status.streamId, status.lastSeq, status.owner], ['first', 5, 'user-1'])
  assert.ok(status.memoryBytes > 0)
  assert.match(shown.stdout, /^last write +\d{4}-/m)
  const missing = await run('show', 'missing')
  assert.deepEqual([missing.code, missing.stdout], [3, ''])
  await live.complete()
})

test('logs are shown, followed, stopped and removed as other streams are', async (t) => {
  const { engine, run, start } = await scene(t)
  const log = engine.log('open', { contentType: 'text/plain', owner: 'ann' })
  await log.append(['one '])
  await engine.log('fork', { owner: 'ann' }).createFrom('open')
  assert.match((await run('ls')).stdout, /^active +1 .* ann +open$/m)
  const { stdout } = await run('show', 'fork')
  assert.match(stdout, /^log +text\/plain$/m)
  assert.match(stdout, /^fork +of open, up to seq 1$/m)
  assert.doesNotMatch(stdout, /^producers/m)
  const tail = start('tail', '--follow', 'open')
  await until(() => tail.stdout === 'one ')
  assert.match((await run('stop', 'open')).stdout, /^open: stopping, whoever appends to it next is told$/m)
  assert.equal((await log.append(['two'], { close: true })).stop, '')
  await deadline(tail.ended, 20_000, 'tail ends')
  assert.equal(tail.stdout.trim(), 'one two')
  assert.match((await run('show', 'open')).stdout, /^state +stopped$/m)
  assert.equal((await run('rm', 'open')).code, 0)
  assert.match((await run('ls')).stdout, /^active +1 .* ann +fork$/m)
})

test('ls sorts, filters and counts', async (t) => {
  const { engine, run } = await scene(t)
  for (const [name, size, owner] of [
    ['chat-b', 3, 'ann'],
    ['chat-a', 9, 'bob'],
    ['note-1', 1, 'ann'],
  ]) {
    await produceAll(engine, String(name), texts(Number(size)), { owner: String(owner) })
    // The next one is written in another millisecond.
    const now = Date.now()
    await until(() => Date.now() > now, { interval: 1 })
  }
  const names = async (/** @type {string[]} */ ...args) =>
    lines((await run('ls', '--json', ...args)).stdout).map(({ streamId }) => streamId)
  assert.deepEqual(await names(), ['note-1', 'chat-a', 'chat-b'], 'the last written first')
  assert.deepEqual(await names('--reverse'), ['chat-b', 'chat-a', 'note-1'])
  assert.deepEqual(await names('--sort', 'chunks'), ['chat-a', 'chat-b', 'note-1'])
  assert.deepEqual(await names('--sort', 'stream', '-n', '1'), ['chat-a'])
  assert.deepEqual(await names('--sort', 'owner'), ['chat-b', 'note-1', 'chat-a'])
  assert.deepEqual((await names('--sort', 'none')).sort(), ['chat-a', 'chat-b', 'note-1'])
  assert.equal((await names('--sort', 'none', '-n', '2')).length, 2)
  assert.deepEqual(await names('--name', 'chat', '--owner', 'ann'), ['chat-b'])
  assert.deepEqual(await names('--name', '*-*a'), ['chat-a'])
  assert.deepEqual(await names('--name', 'hat*'), [])
  assert.deepEqual(await names('--name', '*1'), ['note-1'])
  assert.equal((await run('ls', '--name', 'chat')).stderr, '2 of 3 streams.\n')
  assert.equal((await run('ls', '-n', '1')).stderr, '1 of 3 streams.\n')
  assert.equal((await run('ls', '--name', 'chat', '-n', '1')).stderr, '1 of 2 streams that match, of 3.\n')
  const none = await run('ls', '--owner', 'eve')
  assert.match(none.stderr, /^None of the 3 streams under the prefix test.* \(--prefix\) matches\.\n$/)
})

test('top tells what is being written, look after look', async (t) => {
  const { engine, start, run } = await scene(t)
  await produceAll(engine, 'over', texts(3))
  const [busy, idle] = [await engine.produce('busy'), await engine.produce('idle')]
  await busy.append('0')
  const looking = start('top', '--json', '--interval', '200ms')
  await until(async () => {
    await busy.append('x')
    return lines(looking.stdout.slice(0, looking.stdout.lastIndexOf('\n'))).some(
      ({ top }) => top[0].chunksPerSecond > 0,
    )
  })
  looking.child.kill('SIGINT')
  assert.equal((await deadline(looking.ended, 10_000, 'Ctrl-C'))[0], 130)
  const last = lines(looking.stdout).at(-1)
  assert.deepEqual([last.streams, last.active, last.producers], [3, 2, 2])
  assert.deepEqual(
    last.top.map(({ streamId }) => streamId),
    ['busy', 'idle'],
  )
  assert.ok(last.chunksPerSecond > 0 && last.bytesPerSecond > 0)
  const once = await run('top', '--times', '1', '-n', '1')
  assert.match(
    once.stdout,
    /\n2 live of 3 streams, 2 producers, 0\.0 chunks\/s.*\n +CHUNKS\/S.*\n.*(busy|idle)\n\n$/,
  )
  await Promise.all([busy.complete(), idle.complete()])
})

test('dead letters are listed, handed out again and given up', async (t) => {
  const { engine, run } = await scene(t)
  await produceAll(engine, 'jobs', ['poison \u001b[31m', new Uint8Array([1, 2])], { owner: 'ann' })
  const group = { group: 'work', consumer: 'one', owner: 'ann', maxDeliveries: 1, batch: 2 }
  const letters = async () => lines((await run('dead', 'work', 'jobs', '--json')).stdout)
  const held = engine.consume('jobs', group)
  await held.next()
  await held.next()
  // It comes back under its name, and has had them once already.
  assert.equal((await engine.consume('jobs', group).next()).done, true)
  const [first, second] = await letters()
  assert.deepEqual([first.seq, first.data, first.deliveries], [1, 'poison \u001b[31m', 1])
  assert.deepEqual([second.seq, second.base64], [2, 'AQI='])
  const groups = await run('groups', 'jobs')
  assert.match(groups.stdout, /^ +BEHIND +HELD +DEAD {2}GROUP\n +0 +0 +2 {2}work\n$/)
  assert.equal((await run('groups', 'none')).code, 3)
  await produceAll(engine, 'without groups', ['one'])
  assert.match(
    (await run('groups', 'without groups')).stderr,
    /^No groups of without groups under the prefix /,
  )
  const everywhere = await run('groups')
  assert.match(everywhere.stdout, /^ +BEHIND +HELD +DEAD {2}GROUP +STREAM\n +0 +0 +2 {2}work +jobs\n$/)
  const live = await engine.produce('live')
  await live.append('one')
  await engine.consume('live', { group: 'live work', consumer: 'one' }).next()
  assert.deepEqual(
    lines((await run('groups', '--json')).stdout)
      .map(({ group, held, streamId }) => [group, held, streamId])
      .sort(),
    [
      ['live work', 1, 'live'],
      ['work', 0, 'jobs'],
    ],
  )
  await live.complete()
  const finished = engine.finished({ group: 'database', consumer: 'one' })
  const waiting = finished.next()
  await until(async () => {
    const [found] = lines((await run('groups', '--json')).stdout)
    assert.equal(found?.streamId, undefined)
    return found?.group === 'database' && found.held === 0 && found.dead === 0
  })
  await Promise.all([finished.return(), waiting])
  const listed = await run('dead', 'work', 'jobs')
  assert.match(listed.stdout, /^handed out 1 times {2}\w+\.1 {2}poison \\u\{1b\}\[31m\n.* 2 B\n$/)
  assert.equal(listed.stderr, '2 dead letters of the group work of jobs.\n')
  assert.match((await run('dead', 'work', 'jobs', '--drop')).stderr, /given up/)
  const none = await run('dead', 'work', 'jobs')
  assert.match(none.stderr, /^No dead letters of the group work of jobs under the prefix /)
  assert.equal((await run('dead', 'database')).code, 0)
})

test('tail prints chunks as they are, from where it is told, and follows a live stream', async (t) => {
  const { engine, run, start } = await scene(t)
  await produceAll(engine, 'done', ['früh ', new Uint8Array([104, 105]), '\u001b[0m\n'], {
    owner: 'user-1',
  })
  assert.deepEqual(await run('tail', 'done'), { code: 0, stdout: 'früh hi\u001b[0m\n', stderr: '' })
  assert.equal((await run('tail', 'done', '-n', '2')).stdout, 'hi\u001b[0m\n')
  const chunks = lines((await run('tail', 'done', '--json')).stdout)
  assert.deepEqual(
    chunks.map(({ cursor, ...chunk }) => chunk),
    [
      { seq: 1, data: 'früh ' },
      { seq: 2, base64: 'aGk=' },
      { seq: 3, data: '\u001b[0m\n' },
    ],
  )
  assert.equal(lines((await run('tail', 'done', '--json', '--from', chunks[1].cursor)).stdout)[0]?.seq, 3)
  for (const from of ['now', chunks[2].cursor]) {
    assert.deepEqual(await run('tail', 'done', '--from', from), { code: 0, stdout: '', stderr: '' })
  }

  const producer = await engine.produce('live', { owner: 'user-1' })
  await producer.append('one ')
  assert.equal((await run('tail', 'live')).stdout, 'one ')
  const [following, early, quitting] = [
    start('tail', '-f', 'live'),
    start('tail', '-f', 'later'),
    start('tail', '-f', 'live'),
  ]
  await until(() => following.stdout === 'one ' && quitting.stdout === 'one ', {
    message: 'the first chunk',
  })
  await producer.append('two ')
  await until(() => following.stdout === 'one two ', { message: 'the next one, at once' })
  quitting.child.kill('SIGINT')
  assert.deepEqual((await deadline(quitting.ended, 10_000, 'Ctrl-C'))[0], 130)
  await producer.complete()
  assert.deepEqual((await deadline(following.ended, 10_000, 'tail -f'))[0], 0)
  assert.match(following.stderr, /complete/)
  const failing = await engine.produce('later')
  await failing.append('x')
  await until(() => early.stdout === 'x')
  await failing.fail('boom')
  assert.deepEqual((await deadline(early.ended, 10_000, 'tail -f'))[0], 1)
  assert.match(early.stderr, /boom.*ERR_FAILED/)
  const nothing = await run('tail', '-f', '--wait', '50ms', 'never')
  assert.equal(nothing.code, 3)
})

test('stop and rm do it, whoever owns the stream', async (t) => {
  const { engine, run } = await scene(t)
  const producer = await engine.produce('mine', { owner: 'user-1' })
  const { signal } = producer
  const refused = await run('rm', 'mine', 'none', '--json')
  assert.equal(refused.code, 1)
  assert.deepEqual(lines(refused.stdout), [
    { streamId: 'mine', result: 'live' },
    { streamId: 'none', result: 'not found' },
  ])
  const stopped = await run('stop', 'mine', 'none', '--reason', 'enough', '--json')
  assert.deepEqual(
    [stopped.code, ...lines(stopped.stdout)],
    [0, { streamId: 'mine', result: 'stopping' }, { streamId: 'none', result: 'kept' }],
  )
  await until(() => signal.aborted)
  assert.equal(signal.reason.reason, 'enough')
  await producer.complete()
  assert.match((await run('stop', 'mine')).stdout, /^mine: ended, /)
  assert.deepEqual((await run('rm', 'mine')).code, 0)
  assert.deepEqual((await run('rm', 'mine')).code, 3)
  const live = await engine.produce('live')
  assert.equal((await run('rm', '--force', 'live')).code, 0)
  await until(() => live.signal.aborted)
})

test('stats count, cleanup cleans, and a reader that has seen enough is no failure', async (t) => {
  const { engine, run, start } = await scene(t)
  await produceMany(engine, 300)
  await (await engine.produce('failed')).fail('why')
  const stats = await run('stats')
  assert.match(stats.stdout, /301 streams, 0 producers\n/)
  assert.match(stats.stdout, /^complete +300 +900 /m)
  assert.match(stats.stdout, /^STATE +STREAMS +CHUNKS +BYTES +STORED$/m)
  assert.match(stats.stdout, /^Memory of 16 of them: /m)
  const [json] = lines((await run('stats', '--json', '--sample', '4')).stdout)
  assert.deepEqual([json.streams, json.chunks, json.memory.streams], [301, 900, 4])
  assert.ok(!json.address.includes('@'))

  const head = start('ls', '--json')
  head.child.stdout.once('data', () => head.child.stdout.destroy())
  assert.equal((await deadline(head.ended, 10_000, 'ls | head'))[0], 0)
  assert.equal(head.stderr, '')

  const look = await run('cleanup', '--older-than', '0ms', '--outcome', 'complete', '--dry-run')
  assert.match(look.stdout, /^300 of 301 streams would be removed, 0 live and 1 others left, /)
  const [report] = lines((await run('cleanup', '--older-than', '0ms', '--batch', '50', '--json')).stdout)
  assert.deepEqual([report.removed, report.total, report.dryRun], [301, 301, false])
  assert.match((await run('ls')).stderr, /No streams/)
})

test('what is damaged is named beside the rest, counted, and removed', async (t) => {
  const { run, engine, redis, prefix } = await scene(t)
  await Promise.all(['fine', 'bad'].map((name) => produceAll(engine, name, texts(2))))
  await redis.admin.cmd('SET', `{${prefix}:bad}:meta`, 'not yours', 'PX', 60_000)
  const [ls, stats, cleanup] = await Promise.all([
    run('ls', '--json'),
    run('stats', '--json'),
    run('cleanup', '--dry-run'),
  ])
  for (const { code, stderr } of [ls, stats]) {
    assert.equal(code, 0)
    assert.match(stderr, /bad is damaged, and left out: WRONGTYPE .*tidemark rm bad removes it/)
  }
  assert.deepEqual(
    lines(ls.stdout).map(({ streamId }) => streamId),
    ['fine'],
  )
  assert.equal(lines(stats.stdout)[0]?.streams, 1)
  assert.match(cleanup.stdout, /1 damaged/)
  assert.match((await run('show', 'bad')).stderr, /damaged/)
  assert.equal((await run('rm', 'bad')).stdout, 'bad: removed\n')
  assert.equal((await run('ls', '--json')).stderr, '')
})

test('groups that may not be looked at are not shown as if they had nothing', async (t) => {
  const redis = await startRedis()
  t.after(() => redis.close())
  const engine = createEngine({ url: redis.url })
  t.after(() => engine.close())
  await produceAll(engine, 'jobs', texts(2))
  await engine.consume('jobs', { group: 'work', consumer: 'one' }).next()
  await redis.admin.cmd('ACL', 'SETUSER', 'bob', 'reset', 'on', '>sesame', '~*', '&*', '+@all', '-xinfo')
  const url = redis.adminUrl.replace('//', '//bob:sesame@')
  const { code, stdout, stderr } = await cli(['groups', 'jobs', '--url', url])
  assert.deepEqual([code, stdout], [1, ''])
  assert.match(stderr, /the store refused groups: .*\(ERR_STORE\)/)
})
