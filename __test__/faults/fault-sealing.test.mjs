// Producers are killed at random moments while they seal: there is no moment at which anything is lost or seen twice.

import assert from 'node:assert/strict'
import { startChild } from '../support/child.mjs'
import { openEngine, openRedis, test } from '../support/fault-scene.mjs'
import { checkHistory } from '../support/history.mjs'
import { createRandom, seed } from '../support/seed.mjs'
import { follow, readAll, texts } from '../support/streams.mjs'
import { deadline, until } from '../support/wait.mjs'

const ROUNDS = 16
const CHUNKS = 4000

test(`G1 G2: kill -9 of a producer that seals, ${ROUNDS} times`, async (t) => {
  const redis = await openRedis(t)
  const engine = openEngine(t, { url: redis.url })
  const other = openEngine(t, { url: redis.url })
  const random = createRandom()
  const streamId = 'killed'
  /** @type {import('../support/history.mjs').Written[]} */
  const written = []
  /** @type {import('../support/history.mjs').Reader[]} */
  const replays = []
  const live = follow(engine, streamId, { follow: 'all', name: 'live' })
  let sealed = 0

  for (let round = 1; round <= ROUNDS; round++) {
    const last = round === ROUNDS
    const count = last ? 700 : CHUNKS
    const work = JSON.stringify({ streamId, round, count, options: { url: redis.url } })
    const child = startChild(new URL('../children/sealing-writer.mjs', import.meta.url), {
      env: { WORK: work, TIDEMARK_SEED: String(seed) },
    })
    t.after(() => child.kill())
    const { generation } = await child.next('producing')
    // Seals are some 350 chunks apart: the blow falls on either side of one.
    const blow = random.int(200, 1600)
    const begun = (await other.status(streamId))?.firstSeq ?? 1
    if (last) await child.next('completed', 20_000)
    else {
      await until(async () => Number((await other.status(streamId))?.lastSeq) - begun >= blow, {
        interval: 1,
      })
      await child.kill()
    }
    const status = await other.status(streamId)
    assert.ok(status)
    if (status.storedBytes < status.bytes) sealed++
    // What the killed process has told before it was killed was accepted; the rest of it may be.
    const base = status.firstSeq - 1
    const accepted = new Set(
      child.messages
        .filter(({ type }) => type === 'accepted')
        .flatMap(({ seqs }) => /** @type {number[]} */ (seqs)),
    )
    for (const [index, data] of texts(count, `round ${round}, chunk`).entries()) {
      const seq = base + 1 + index
      if (accepted.has(seq)) written.push({ data, seq, producer: generation })
      else if (seq <= status.lastSeq) written.push({ data, producer: generation, acknowledged: false })
    }
    if (last) break
    const replay = follow(other, streamId, { from: `${generation}.0`, after: base, name: `replay ${round}` })
    await replay.has(status.lastSeq - base)
    const cursor = random.int(base, status.lastSeq)
    const resumed = follow(other, streamId, {
      from: `${generation}.${cursor}`,
      after: cursor,
      name: `from ${cursor}`,
    })
    await resumed.has(status.lastSeq - cursor)
    replays.push(...[replay, resumed].map((reader) => Object.assign(reader, { to: status.lastSeq })))
  }

  const end = written.length
  await deadline(live.has(end), 20_000, 'the live reader has seen everything')
  await live.subscription.return?.()
  await Promise.all(
    replays.map((reader) => /** @type {import('../support/streams.mjs').Follower} */ (reader).end()),
  )
  const finished = await readAll(other, streamId, { name: 'the last', after: end - 700 })
  assert.equal(finished.outcome, 'complete')
  t.diagnostic(`${end} chunks, ${sealed} of ${ROUNDS} generations were sealed in part or whole`)
  assert.ok(sealed >= ROUNDS / 4)
  await live.end()
  checkHistory({ written, readers: [{ ...live, to: end }, ...replays, finished] })
})
