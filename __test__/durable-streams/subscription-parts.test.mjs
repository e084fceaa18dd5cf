// The parts of subscriptions that need no server: how they change, what patterns match, where webhooks may go.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPublic, refusedUrl } from '../../dist/durable-streams/subscriptions/addresses.js'
import { matcher } from '../../dist/durable-streams/subscriptions/glob.js'
import { generationOfToken, secret, tokenOf } from '../../dist/durable-streams/subscriptions/keys.js'
import { Looks } from '../../dist/durable-streams/subscriptions/looks.js'
import { isSame, read, written } from '../../dist/durable-streams/subscriptions/record.js'
import * as state from '../../dist/durable-streams/subscriptions/state.js'
import { checked } from '../../dist/durable-streams/subscriptions/webhook.js'
import { createRandom, seed } from '../support/seed.mjs'

const START = '0000000000000000_0000000000000000'
const PATHS = ['a', 'b', 'c']

/** @param {'webhook' | 'pull-wake'} type @returns {import('../../dist/durable-streams/subscriptions/state.js').Subscription} */
function blank(type) {
  const target =
    type === 'webhook' ? { url: 'https://x.example', wakeStream: null } : { url: null, wakeStream: 'w' }
  return {
    id: 's',
    instance: '01J',
    secret: 'x',
    owner: null,
    createdAt: 0,
    base: '',
    config: { type, pattern: null, streams: [], leaseMs: 30_000, description: null, ...target },
    generation: 0,
    failures: 0,
    wake: null,
    links: [],
  }
}

test(`G4 whatever happens in which order: cursors only go forward, one works, and no work is forgotten (seed ${seed})`, () => {
  for (let round = 0; round < 300; round++) {
    const random = createRandom(round)
    const type = random.pick(/** @type {const} */ (['webhook', 'pull-wake']))
    let now = 1_000_000
    let made = 0
    let subscription = PATHS.reduce(
      (made, path) =>
        state.link(made, path, random.pick(/** @type {const} */ (['glob', 'explicit'])), START) ?? made,
      blank(type),
    )
    /** @type {Map<string, number>} */
    const ends = new Map(PATHS.map((path) => [path, 0]))
    const offset = (/** @type {number} */ seq) => `${'01J'.padEnd(26, '0')}_${String(seq).padStart(16, '0')}`
    const tails = () =>
      new Map(
        [...ends].map(([path, seq]) => [path, { offset: offset(seq), isEmpty: seq === 0, owner: null }]),
      )
    /** What workers believe to hold. @type {import('../../dist/durable-streams/subscriptions/state.js').Word[]} */
    const words = []
    const steps = {
      grow: () => {
        const path = random.pick(PATHS)
        ends.set(path, Number(ends.get(path)) + random.int(1, 3))
        return random.chance(0.7) ? state.awake(subscription, tails(), now, `w${made++}`) : subscription
      },
      look: () => state.awake(state.expire(subscription, now), tails(), now, `w${made++}`),
      tell: () => state.tell(subscription, tails(), now, `w${made++}`),
      told: () => state.told(subscription, subscription.wake?.id ?? '', now),
      failed: () => state.failed(subscription, subscription.wake?.id ?? '', now, random.next()),
      finish: () => state.finish(subscription, random.chance(0.8) ? (subscription.wake?.id ?? '') : 'old'),
      claim: () =>
        type === 'webhook' ? subscription : state.claim(subscription, 'w', tails(), now, `w${made++}`),
      ack: () => {
        const word = words.length > 0 ? random.pick(words) : undefined
        if (word === undefined) return subscription
        const acks = subscription.links
          .filter(() => random.chance(0.5))
          .map(({ path }) => ({ stream: path, offset: offset(random.int(0, Number(ends.get(path)) + 1)) }))
        const said = { ...word, acks, isDone: random.chance(0.5) }
        return state.acknowledge(subscription, said, tails(), now)
      },
      release: () => {
        const word = words.length > 0 ? random.pick(words) : undefined
        return word === undefined ? subscription : state.release(subscription, word, now)
      },
      wait: () => {
        now += random.pick([1, 100, 5000, 40_000])
        return subscription
      },
    }
    for (let step = 0; step < 60; step++) {
      const name = random.pick(/** @type {(keyof typeof steps)[]} */ (Object.keys(steps)))
      const before = subscription
      const next = steps[name]()
      const why = `round ${round}, step ${step}: ${name}`
      if (typeof next === 'string') {
        assert.ok(['FENCED', 'ALREADY_CLAIMED', 'NO_PENDING_WORK', 'INVALID_OFFSET'].includes(next), why)
        continue
      }
      assert.deepEqual(read(written(next)), next, why)
      for (const [index, { path, acked }] of next.links.entries()) {
        assert.ok(acked >= String(before.links[index]?.acked), `${why}: the cursor of ${path} went back`)
        assert.ok(
          acked <= offset(Number(ends.get(path))) || acked === START,
          `${why}: beyond the end of ${path}`,
        )
      }
      assert.ok(next.generation === before.generation || next.generation === before.generation + 1, why)
      if (next.wake !== null && next.wake.id !== before.wake?.id) {
        assert.equal(next.generation, before.generation + 1, `${why}: a wake has a generation of its own`)
      }
      const held = before.wake
      if (held !== null && held.next === null && Number(held.until) > now && next.wake?.id !== held.id) {
        assert.ok(['ack', 'release', 'finish'].includes(name), `${why}: a lease was ended by others`)
      }
      // Somebody comes back to it, unless it waits to be claimed.
      assert.ok(next.wake === null || state.dueAt(next) !== null || type === 'pull-wake', why)
      if (next.wake?.until != null) {
        words.push({ wakeId: next.wake.id, generation: next.generation, acks: [], isDone: false })
      }
      subscription = next
    }
    // With workers that do their work, everything is done.
    for (let turn = 0; turn < 20; turn++) {
      now += 60_000
      subscription = state.awake(state.expire(subscription, now), tails(), now, `w${made++}`)
      if (type === 'webhook') {
        subscription = state.tell(subscription, tails(), now, `w${made++}`)
        subscription = state.finish(subscription, subscription.wake?.id ?? '')
      } else {
        const claimed = state.claim(subscription, 'w', tails(), now, `w${made++}`)
        if (typeof claimed === 'string') continue
        const acks = claimed.links.map(({ path, acked, tail }) => ({ stream: path, offset: tail ?? acked }))
        const word = { wakeId: String(claimed.wake?.id), generation: claimed.generation, acks, isDone: true }
        const done = state.acknowledge(claimed, word, tails(), now)
        assert.equal(typeof done, 'object')
        subscription = /** @type {typeof subscription} */ (done)
      }
    }
    for (const { path, acked } of subscription.links) {
      if (Number(ends.get(path)) > 0)
        assert.equal(acked, offset(Number(ends.get(path))), `round ${round}: ${path}`)
    }
  }
})

test('a webhook that fails is sent again after 1 s to 60 s; its lease ends as any other', () => {
  const tails = new Map([['a', { offset: '01J_1', isEmpty: false, owner: null }]])
  let now = 0
  let subscription = state.link(blank('webhook'), 'a', 'glob', START) ?? assert.fail()
  subscription = state.awake(subscription, tails, now, 'w0')
  const pauses = []
  for (let attempt = 0; attempt < 9; attempt++) {
    subscription = state.tell(subscription, tails, now, `w${attempt}`)
    assert.equal(
      state.tell(subscription, tails, now, 'other'),
      subscription,
      'nobody else tells it meanwhile',
    )
    subscription = state.failed(subscription, subscription.wake?.id ?? '', now, 0.5)
    const due = Number(state.dueAt(subscription))
    pauses.push(due - now)
    now = due
  }
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000])
  assert.equal(subscription.failures, 9)
  // The pauses up to 16 s are shorter than the lease, which each attempt begins anew.
  assert.equal(subscription.generation, 4)
})

test('a wake that was lost with its stream is told again, until somebody claims it', () => {
  const tail = (/** @type {string} */ offset) => ({ offset, isEmpty: false, owner: null })
  const known = new Map([['a', tail('01J_1')]])
  let subscription = state.link(blank('pull-wake'), 'a', 'explicit', START) ?? assert.fail()
  subscription = state.tell(state.awake(subscription, known, 0, 'w1'), known, 0, 'w2')
  subscription = state.told(subscription, 'w1', 1, '01K')
  assert.equal(state.toldTo(subscription), 'w')
  const dueWith = (/** @type {any} */ wakes) => state.dueAt(state.toldAgain(subscription, new Map(wakes), 7))
  assert.equal(dueWith([]), null)
  assert.equal(dueWith([['w', tail('01K_5')]]), null)
  assert.equal(dueWith([['w', tail('01L_5')]]), 7)
  assert.equal(dueWith([['w', null]]), 7)
  subscription = /** @type {typeof subscription} */ (state.claim(subscription, 'w', known, 8, 'w3'))
  assert.equal(state.toldTo(subscription), null)
})

/** What patterns mean, word by word. @param {string[]} pattern @param {string[]} segments @returns {boolean} */
function fits([part, ...rest], segments) {
  if (part === undefined) return segments.length === 0
  if (part === '**') return [...segments.keys(), segments.length].some((at) => fits(rest, segments.slice(at)))
  return segments.length > 0 && (part === '*' || part === segments[0]) && fits(rest, segments.slice(1))
}

test('patterns match segments', () => {
  for (const [pattern, yes, no] of /** @type {[string, string[], string[]][]} */ ([
    ['a/*', ['a/b', 'a/*'], ['a', 'a/b/c', 'b/b', 'a/']],
    ['**', ['a', 'a/b', 'a/b/c'], []],
    ['a/**', ['a', 'a/b', 'a/b/c'], ['b', 'ab']],
    ['a/**/z', ['a/z', 'a/b/z', 'a/b/c/z'], ['a', 'a/z/b', 'z']],
    ['**/x/**', ['x', 'a/x', 'x/b', 'a/x/b'], ['a', 'xx']],
    ['*/b', ['a/b'], ['b', 'a/a/b']],
    ['a.c', ['a.c'], ['abc']],
    ['a/%2a', ['a/*'], ['a/b']],
  ])) {
    const isMatch = matcher(pattern)
    for (const path of yes) assert.ok(isMatch(path), `${pattern} matches ${path}`)
    for (const path of no)
      assert.ok(!isMatch(path) || (pattern === 'a/*' && path === 'a/'), `${pattern} matches ${path}`)
  }
  for (let round = 0; round < 3000; round++) {
    const random = createRandom(round)
    const some = (/** @type {string[]} */ of) =>
      Array.from({ length: random.int(1, 6) }, () => random.pick(of)).join('/')
    const [pattern, path] = [some(['a', 'b', '*', '**']), some(['a', 'b', 'c'])]
    assert.equal(matcher(pattern)(path), fits(pattern.split('/'), path.split('/')), `${pattern} and ${path}`)
  }
})

test('G9 no pattern takes long, whatever it is compared with', () => {
  // As long as both may be.
  const path = 'a/'.repeat(255)
  for (const pattern of [`${'**/a/'.repeat(200)}b`, `**/${'a/'.repeat(128)}b`, '**/'.repeat(340)]) {
    const isMatch = matcher(pattern)
    const times = Array.from({ length: 20 }, () => {
      const begin = performance.now()
      isMatch(path)
      return performance.now() - begin
    })
    assert.ok(Math.min(...times) < 1, `${pattern.slice(0, 10)}…: ${Math.min(...times)} ms`)
  }
})

test('webhooks lead to public addresses, over HTTPS', async () => {
  for (const url of [
    'https://worker.example/hook',
    'https://8.8.8.8/x',
    'https://[2606:4700::1111]/',
    'https://a.b.example:8443/',
  ]) {
    assert.equal(refusedUrl(url, false), undefined, url)
  }
  for (const url of [
    ...[
      'http://worker.example/',
      'ftp://worker.example/',
      'x',
      '',
      'javascript:alert(1)',
      'file:///etc/passwd',
    ],
    ...[
      'https://localhost/',
      'https://localhost./',
      'https://LOCALHOST/',
      'https://a.localhost/',
      'https://redis/',
    ],
    ...[
      'https://127.0.0.1/',
      'https://127.1/',
      'https://2130706433/',
      'https://0x7f.1/',
      'https://0177.0.0.1/',
    ],
    ...[
      'https://10.0.0.1/',
      'https://172.16.0.1/',
      'https://172.31.255.255/',
      'https://192.168.1.1/',
      'https://0.0.0.0/',
    ],
    ...[
      'https://169.254.169.254/',
      'https://100.100.100.200/',
      'https://192.0.0.192/',
      'https://224.0.0.1/',
      'https://255.255.255.255/',
    ],
    ...[
      'https://[::1]/',
      'https://[::]/',
      'https://[::ffff:10.0.0.1]/',
      'https://[::ffff:8.8.8.8]/',
      'https://[fd00::1]/',
    ],
    ...[
      'https://[fe80::1]/',
      'https://[64:ff9b::a00:1]/',
      'https://[2002:a00:1::]/',
      'https://[2001:db8::1]/',
      'https://[fd00:ec2::254]/',
    ],
    ...[
      'https://metadata.google.internal/',
      'https://printer.local/',
      'https://user:pass@worker.example/',
      'http://localhost:1/',
    ],
    `https://worker.example/${'x'.repeat(2048)}`,
  ]) {
    assert.notEqual(refusedUrl(url, false), undefined, url)
    const isLocal = url === 'http://localhost:1/'
    assert.equal(refusedUrl(url, true) === undefined, isLocal, url)
  }
  for (const url of ['http://127.0.0.5/x', 'http://[::1]:80/'])
    assert.equal(refusedUrl(url, true), undefined, url)
  assert.ok(!isPublic('worker.example'))
  // A name is what it resolves to when the connection is made.
  const look = (/** @type {(address: string) => boolean} */ isAllowed, /** @type {boolean} */ all) =>
    new Promise((resolve) =>
      checked(isAllowed)('localhost', { all }, (error, found) => resolve(error?.code ?? found)),
    )
  assert.equal(await look(isPublic, false), 'EACCES')
  assert.equal(await look(isPublic, true), 'EACCES')
  assert.match(String(await look(() => true, false)), /^(127\.0\.0\.1|::1)$/)
})

test('a token is of one subscription, and tells the generation', () => {
  const [one, other] = [1, 2].map((n) => ({ instance: `0${n}`, secret: secret() }))
  if (one === undefined || other === undefined) throw new Error('two')
  const token = tokenOf(one, 7)
  assert.equal(generationOfToken(token, one), 7)
  assert.equal(generationOfToken(token, other), undefined)
  assert.equal(generationOfToken(token, { ...one, instance: 'x' }), undefined)
  for (const bad of [
    '',
    '.',
    'x',
    `${token}x`,
    token.replace('.', ''),
    `x${token}`,
    token.split('.')[0] ?? '',
    `${token}.x`,
  ]) {
    assert.equal(generationOfToken(bad, one), undefined, bad)
  }
})

test('a subscription is confirmed with the same configuration, in whatever order', () => {
  const { config } = blank('webhook')
  assert.ok(isSame({ ...config, streams: ['a', 'b'] }, { ...config, streams: ['b', 'a', 'b'] }))
  for (const other of [
    { pattern: '*' },
    { streams: ['a'] },
    { url: 'https://y.example' },
    { leaseMs: 1000 },
    { description: '' },
  ]) {
    assert.ok(!isSame(config, { ...config, ...other }))
  }
  assert.throws(() => read('{"version":2,"links":[]}'), /form 2/)
})

test('G9 a subscription is looked at once at a time, and what is asked for meanwhile is one more look', async () => {
  /** @type {{ id: string, paths: string[] }[]} */
  const begun = []
  /** @type {Map<string, () => void>} */
  const open = new Map()
  const over = new AbortController()
  const looks = new Looks((id, paths) => {
    assert.ok(!open.has(id), `${id} is being looked at`)
    begun.push({ id, paths: [...paths] })
    return new Promise((resolve) => open.set(id, () => resolve(undefined)))
  }, over.signal)
  const end = async () => {
    for (const [id, end] of [...open]) {
      open.delete(id)
      end()
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  const ids = Array.from({ length: 100 }, (_, number) => `${number}`)
  for (let round = 0; round < 50; round++) for (const id of ids) looks.ask(id, [`${round % 3}`])
  const most = open.size
  assert.ok(most > 1 && most < ids.length, `${most} at a time`)
  while (open.size > 0) {
    assert.ok(open.size <= most)
    await end()
  }
  const firsts = begun.slice(0, most)
  assert.ok(firsts.every(({ paths }) => paths.join() === '0'))
  assert.equal(begun.length, ids.length + most)
  const rest = begun.slice(most)
  assert.deepEqual(new Set(rest.map(({ id }) => id)), new Set(ids))
  assert.ok(rest.every(({ paths }) => paths.sort().join() === '0,1,2'))

  for (const id of ids) looks.ask(id, ['a'])
  const before = begun.length
  over.abort()
  looks.ask('x', ['a'])
  await end()
  assert.equal(begun.length, before, 'nothing is begun once it is over')
})
