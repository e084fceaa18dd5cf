// `tidemark doctor` on servers that are healthy, risky, and refusing.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cli, lines } from '../support/cli.mjs'
import { startRedis } from '../support/redis-server.mjs'
import { userRules } from '../support/rights.mjs'

/**
 * @param {string} url
 * @returns {Promise<{ code: number, findings: Map<string, any>, output: string }>}
 */
async function doctor(url) {
  const { code, stdout, stderr } = await cli(['doctor', '--json'], { TIDEMARK_URL: url })
  const findings = new Map(lines(stdout).map((finding) => [finding.check, finding]))
  return { code, findings, stdout, output: stdout + stderr }
}

test('it finds a healthy server healthy, and names what is risky', async (t) => {
  const redis = await startRedis({ aof: true, password: 'sesame' })
  t.after(() => redis.close())
  const healthy = await doctor(redis.url)
  assert.equal(healthy.code, 0, healthy.output)
  for (const [check, { status, advice }] of healthy.findings) {
    assert.deepEqual([status, advice], ['ok', undefined], check)
  }
  const expected = [
    'server',
    'maxmemory-policy',
    'persistence',
    'latency',
    'rights',
    'scripts',
    'pub/sub',
    'stop',
    'memory usage',
  ]
  for (const check of expected) assert.ok(healthy.findings.has(check), check)
  assert.match(healthy.findings.get('server').found, /^(Redis|Valkey) \d+\.\d+\.\d+, standalone$/)
  assert.doesNotMatch(healthy.output, /sesame/)
  assert.equal(await redis.admin.cmd('DBSIZE'), 0, 'it leaves nothing behind')

  await redis.admin.cmd('CONFIG', 'SET', 'maxmemory', '1gb', 'maxmemory-policy', 'allkeys-lru')
  const risky = await doctor(redis.url)
  assert.equal(risky.code, 0)
  assert.equal(risky.findings.get('maxmemory-policy').status, 'warning')
  assert.match(risky.findings.get('maxmemory-policy').advice, /noeviction/)

  const wrong = await doctor(redis.url.replace('sesame', 'mellon'))
  assert.equal(wrong.code, 1)
  assert.equal(wrong.findings.get('connection').status, 'failure')
  assert.doesNotMatch(wrong.output, /sesame|mellon/)
})

test('it tells which rights are missing', async (t) => {
  const redis = await startRedis()
  t.after(() => redis.close())
  /** @param {string[]} rules */
  const as = async (...rules) => {
    await redis.admin.cmd('ACL', 'SETUSER', 'bob', 'reset', 'on', '>sesame', ...rules)
    return doctor(redis.adminUrl.replace('//', '//bob:sesame@'))
  }
  const enough = await as('~*', '&*', '+@all', '-info', '-memory')
  assert.equal(enough.code, 0, enough.output)
  assert.deepEqual(
    [...enough.findings.values()].filter(({ status }) => status !== 'ok').map(({ check }) => check),
    ['server', 'rights', 'memory usage'],
  )
  assert.match(enough.findings.get('rights').found, /sampleMemory.*\+memory\|usage/)
  const slow = await as(...userRules({ password: 'sesame', without: ['hincrby', 'xack'] }))
  assert.equal(slow.code, 1)
  const rights = lines(slow.stdout).filter(({ check }) => check === 'rights')
  assert.deepEqual(
    rights.map(({ status, advice }) => [status, /^ACL SETUSER <user> (.*), on 127/.exec(advice)?.[1]]),
    [
      ['failure', '+hincrby'],
      ['warning', '+xack'],
    ],
  )
  const deaf = await as('~*', '&*', '+@all', '-subscribe')
  assert.equal(deaf.code, 1)
  const noScripts = await as('~*', '&*', '+@all', '-@scripting')
  assert.equal(noScripts.code, 1)
  const foreignKeys = await as('~other*', '&*', '+@all')
  assert.equal(foreignKeys.code, 1)
  for (const { findings, output } of [deaf, noScripts, foreignKeys]) {
    const last = [...findings.values()].at(-1)
    assert.equal(last.status, 'failure')
    assert.match(last.found, /NOPERM|permission/i)
    assert.match(last.advice, /operations\.md/)
    assert.doesNotMatch(output, /sesame/)
  }
})
