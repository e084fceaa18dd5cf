// What the engine counts, and the three ways it is shown: an object, Prometheus' text, OpenTelemetry's instruments.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import {
  AggregationTemporality,
  DataPointType,
  MeterProvider,
  MetricReader,
} from '@opentelemetry/sdk-metrics'
import { createEngine } from 'tidemark'
import { observe } from 'tidemark/opentelemetry'
import { pack } from '../../scripts/pack.mjs'
import { openProxy } from '../support/fault-scene.mjs'
import { checkHistory } from '../support/history.mjs'
import { eachStore, sharedRedis } from '../support/stores.mjs'
import { Follower, follow, numbered, produceAll, readAll, texts, useEngines } from '../support/streams.mjs'
import { until } from '../support/wait.mjs'

/**
 * Reads Prometheus' text format, strictly.
 * @param {string} text
 * @returns {Map<string, { type: string, samples: Map<string, number> }>} samples by name and labels
 */
function parse(text) {
  assert.ok(text.endsWith('\n'))
  /** @type {ReturnType<typeof parse>} */
  const families = new Map()
  let family = ''
  for (const line of text.slice(0, -1).split('\n')) {
    const [, help] = /^# HELP (tidemark_[a-z_]+) [^\n]+$/.exec(line) ?? []
    const [, named, type] = /^# TYPE (tidemark_[a-z_]+) (counter|gauge|histogram)$/.exec(line) ?? []
    if (help) {
      assert.ok(!families.has(help), `${help} twice`)
      family = help
    } else if (named && type) {
      assert.equal(named, family)
      assert.equal(type === 'counter', named.endsWith('_total'), named)
      families.set(family, { type, samples: new Map() })
    } else {
      const [, name, labels = '', value] =
        /^(tidemark_[a-z_]+)(\{[a-z]+="[^"\\\n]+"\})? (\d[\d.e+-]*)$/.exec(line) ?? []
      assert.ok(name !== undefined, `not a line of the format: ${line}`)
      const found = families.get(family)
      assert.ok(found, line)
      assert.match(name, found.type === 'histogram' ? /_(bucket|sum|count)$/ : /./)
      assert.equal(name.replace(found.type === 'histogram' ? /_(bucket|sum|count)$/ : '', ''), family)
      assert.ok(!found.samples.has(name + labels), `${name}${labels} twice`)
      found.samples.set(name + labels, Number(value))
    }
  }
  return families
}

eachStore('metrics', (store) => {
  const open = useEngines(store)

  test('checklist 11: chunks and bytes, what is live, how it ended, and how long it took', async () => {
    const engine = open()
    const before = engine.metrics()
    assert.equal(before.chunksIn, 0)
    assert.equal(before.averageChunkBytes, 0)
    const producer = await engine.produce('counted')
    const readers = [follow(engine, 'counted'), follow(engine, 'counted')]
    const written = ['a', 'bü', 'ccc', new Uint8Array(10)]
    for (const chunk of written) await producer.append(chunk)
    for (const reader of readers) await reader.has(4)
    const live = engine.metrics()
    assert.deepEqual([live.state, live.producers, live.readers, live.streams], ['ready', 1, 2, 1])
    assert.deepEqual([live.queuedBytes, live.longestQueueBytes, live.undelivered], [0, 0, 0])
    await producer.complete()
    for (const reader of readers) await reader.end()
    checkHistory({ written: numbered(written), readers })

    const { averageChunkBytes, compressionRatio, encodedBytes, savedBytes, ...now } = engine.metrics()
    assert.deepEqual([now.chunksIn, now.bytesIn, now.batches], [4, 17, 4])
    assert.deepEqual([now.chunksOut, now.bytesOut], [8, 34])
    assert.equal(averageChunkBytes, 17 / 4)
    assert.ok(encodedBytes >= 17 && encodedBytes < 40, `${encodedBytes} bytes`)
    assert.equal(savedBytes, encodedBytes - ((await engine.status('counted'))?.storedBytes ?? 0))
    assert.equal(compressionRatio, 17 / (encodedBytes - savedBytes))
    assert.deepEqual([now.producers, now.readers], [0, 0])
    assert.deepEqual(now.ended, { complete: 1, failed: 0, stopped: 0, interrupted: 0, lost: 0 })
    assert.equal(now.appendSeconds.count, 4)
    assert.ok(now.appendSeconds.sum > 0 && now.appendSeconds.sum < 10)
    assert.ok(now.deliverySeconds.count >= 2 && now.deliverySeconds.count <= 8)
    for (const { buckets, count } of [now.appendSeconds, now.deliverySeconds]) {
      for (const [index, bucket] of buckets.entries()) {
        const last = buckets[index - 1] ?? { le: 0, count: 0 }
        assert.ok(bucket.le > last.le && bucket.count >= last.count && bucket.count <= count)
      }
      assert.equal(buckets.at(-1)?.count, count)
    }
  })

  test('appends to a log that are written together are one batch', async () => {
    const engine = open()
    const log = engine.log('together')
    await log.create()
    await Promise.all(Array.from({ length: 32 }, (_, index) => log.append([`${index}`])))
    const { chunksIn, batches } = engine.metrics()
    assert.equal(chunksIn, 32)
    // In memory each is done before the next one comes.
    assert.ok(batches >= 1 && batches <= (store.kind === 'redis' ? 16 : 32), `${batches} batches`)
    await log.append(['a', 'b'])
    assert.equal(engine.metrics().batches, batches + 1)
  })

  test('G7 what a process knows of a stream goes with its last producer or reader, whichever is later', async () => {
    const [engine, other] = [open(), open()]
    const producer = await engine.produce('left')
    const reader = engine.subscribe('left', { follow: 'all' })
    await producer.append('a')
    assert.equal((await reader.next()).value?.data, 'a')
    await producer.complete()
    await produceAll(other, 'left', ['b'])
    assert.equal((await reader.next()).value?.data, 'b')
    assert.equal(engine.metrics().streams, 1, 'the reader is still there')
    await reader.return()
    await until(() => engine.metrics().streams === 0, { message: 'nothing is left of the reader' })
    await produceAll(engine, 'unread', ['a'])
    await until(() => engine.metrics().streams === 0, { message: 'nothing is left of the producer' })
  })

  test('checklist 11: stops are timed, from the request to its answer and from its arrival to the end', async () => {
    const [engine, other] = [open(), open()]
    const producer = await engine.produce('stopped')
    const { signal } = producer
    assert.equal(await other.stop('stopped'), 'stopping')
    await until(() => signal.aborted)
    await producer.complete()
    assert.equal(other.metrics().stopRequestSeconds.count, 1)
    assert.equal(other.metrics().stopSeconds.count, 0)
    const { ended, stopSeconds } = engine.metrics()
    assert.deepEqual([ended.stopped, stopSeconds.count], [1, 1])
    assert.ok(stopSeconds.sum > 0 && stopSeconds.sum < 1, `${stopSeconds.sum} s`)
    const cut = await engine.produce('taken over')
    await (await other.produce('taken over', { ifActive: 'takeover' })).fail('why')
    await until(() => cut.signal.aborted)
    assert.equal(engine.metrics().ended.lost, 1)
    assert.equal(other.metrics().ended.failed, 1)
  })

  test('checklist 11: a resume that memory serves is a hit, one that the log serves a miss', async () => {
    const engine = open()
    const producer = await engine.produce('resumed', { owner: 'user-1' })
    const stays = follow(engine, 'resumed', { owner: 'user-1' })
    for (const text of texts(10)) await producer.append(text)
    await stays.has(10)
    const cursor = stays.chunks[3]?.cursor
    const resume = () =>
      follow(engine, 'resumed', { from: cursor, after: 4, owner: 'user-1', name: 'resumed' })
    const readers = [resume(), resume()]
    for (const reader of readers) await reader.has(6)
    const { resumeHits, resumeMisses } = engine.metrics()
    assert.deepEqual([resumeHits, resumeMisses], [2, 0])
    // Whoever was never let in is not let in now.
    const stranger = await readAll(engine, 'resumed', { from: cursor, owner: 'user-2' })
    assert.equal(stranger.error?.code, 'ERR_FORBIDDEN')
    assert.equal((await readAll(engine, 'resumed', { from: cursor })).error?.code, 'ERR_FORBIDDEN')
    const elsewhere = open()
    readers.push(follow(elsewhere, 'resumed', { from: cursor, after: 4, owner: 'user-1' }))
    await readers[2]?.has(6)
    assert.deepEqual([elsewhere.metrics().resumeHits, elsewhere.metrics().resumeMisses], [0, 1])
    await producer.append('last')
    await producer.complete()
    for (const reader of [stays, ...readers]) await reader.end()
    checkHistory({ written: numbered([...texts(10), 'last']), readers: [stays, ...readers] })
    // After the end only the log is asked.
    await follow(engine, 'resumed', { from: cursor, owner: 'user-1' }).end()
    assert.equal(engine.metrics().resumeMisses, 3)
  })

  test('checklist 11: a gap that a reader was told is counted', async () => {
    const engine = open()
    const { generation } = await produceAll(engine, 'gone', texts(3))
    await engine.delete('gone')
    await produceAll(engine, 'gone', texts(3))
    const reader = await readAll(engine, 'gone', { from: `${generation}.1` })
    assert.equal(reader.error?.code, 'ERR_GAP')
    assert.equal(engine.metrics().gaps, 1)
  })

  test('checklist 11: memory is sampled a few streams at a time, round and round', async () => {
    const engine = open({ keyPrefix: store.prefix(), compression: false })
    assert.equal(engine.metrics().memory, null)
    assert.deepEqual((await engine.sampleMemory()).streams, [])
    const names = Array.from({ length: 25 }, (_, index) => `stream ${index}`)
    await Promise.all(names.map((name) => produceAll(engine, name, ['x'.repeat(1000)])))
    const seen = new Set()
    for (let call = 0; call < 9; call++) {
      const { streams, averageBytes, largestBytes, at } = await engine.sampleMemory({ streams: 4 })
      assert.ok(streams.length <= 4)
      assert.ok(at instanceof Date)
      for (const { streamId, bytes } of streams) {
        seen.add(streamId)
        assert.ok(bytes > 1000 && bytes <= largestBytes && bytes < 10_000, `${bytes} bytes`)
      }
      if (streams.length > 0) assert.ok(averageBytes > 1000 && averageBytes <= largestBytes)
    }
    assert.deepEqual([...seen].sort(), [...names].sort())
    await engine.sampleMemory({ streams: 64 })
    const { samples } =
      parse(engine.metrics({ format: 'prometheus' })).get('tidemark_stream_memory_bytes') ?? {}
    const largest = samples?.get('tidemark_stream_memory_bytes{statistic="largest"}')
    assert.equal(largest, engine.metrics().memory?.largestBytes)
    for (const bad of [0, 65, 1.5, '8']) {
      await assert.rejects(engine.sampleMemory(/** @type {any} */ ({ streams: bad })), {
        code: 'ERR_INVALID_ARGUMENT',
        field: 'options.streams',
      })
    }
  })

  test('checklist 11: Prometheus reads the text, and it says what the object says', async () => {
    const engine = open()
    await produceAll(engine, 'exported', texts(5))
    await readAll(engine, 'exported')
    const metrics = engine.metrics()
    const families = parse(engine.metrics({ format: 'prometheus' }))
    /** @param {string} name */
    const value = (name) => families.get(name.replace(/\{.*/, ''))?.samples.get(name)
    assert.equal(value('tidemark_written_chunks_total'), metrics.chunksIn)
    assert.equal(value('tidemark_delivered_bytes_total'), metrics.bytesOut)
    assert.equal(value('tidemark_connection_state{state="ready"}'), 1)
    assert.equal(value('tidemark_connection_state{state="degraded"}'), 0)
    assert.equal(value('tidemark_producers_ended_total{outcome="complete"}'), 1)
    const append = families.get('tidemark_append_duration_seconds')
    assert.equal(append?.type, 'histogram')
    assert.equal(append?.samples.get('tidemark_append_duration_seconds_count'), metrics.appendSeconds.count)
    assert.equal(
      append?.samples.get('tidemark_append_duration_seconds_bucket{le="+Inf"}'),
      metrics.appendSeconds.count,
    )
    for (const bad of [{ format: 'xml' }, { form: 1 }, 5]) {
      assert.throws(() => engine.metrics(/** @type {any} */ (bad)), { code: 'ERR_INVALID_ARGUMENT' })
    }
    await engine.close()
    assert.throws(() => engine.metrics(), { code: 'ERR_CLOSED' })
    await assert.rejects(engine.sampleMemory(), { code: 'ERR_CLOSED' })
  })

  test('checklist 11: OpenTelemetry collects the same numbers, until it is told to stop', async () => {
    const engine = open()
    await produceAll(engine, 'observed', texts(5))
    const reader = new (class extends MetricReader {
      async onForceFlush() {}
      async onShutdown() {}
    })({ aggregationTemporalitySelector: () => AggregationTemporality.CUMULATIVE })
    const provider = new MeterProvider({ readers: [reader] })
    const stop = observe(engine, { meter: provider.getMeter('test'), attributes: { engine: 'chat' } })
    const collect = async () => {
      const { resourceMetrics, errors } = await reader.collect()
      assert.deepEqual(errors, [])
      return new Map(
        resourceMetrics.scopeMetrics
          .flatMap((scope) => scope.metrics)
          .map((each) => [each.descriptor.name, each]),
      )
    }
    const metrics = await collect()
    const written = metrics.get('tidemark_written_chunks')
    assert.equal(written?.dataPointType, DataPointType.SUM)
    assert.equal(written?.dataPoints[0]?.value, 5)
    assert.deepEqual(written?.dataPoints[0]?.attributes, { engine: 'chat' })
    assert.equal(metrics.get('tidemark_written_bytes')?.descriptor.unit, 'By')
    const ready = metrics
      .get('tidemark_connection_state')
      ?.dataPoints.find((point) => point.attributes.state === 'ready')
    assert.equal(ready?.value, 1)
    const buckets = metrics.get('tidemark_append_duration_seconds_bucket')?.dataPoints ?? []
    const all = engine.metrics().appendSeconds
    assert.equal(buckets.length, all.buckets.length + 1)
    assert.equal(buckets.find((point) => point.attributes.le === '+Inf')?.value, all.count)
    // Each family that has a value is there.
    for (const [name, { samples, type }] of parse(engine.metrics({ format: 'prometheus' }))) {
      if (samples.size === 0) continue
      const instrument = type === 'histogram' ? `${name}_count` : name.replace(/_total$/, '')
      assert.ok(metrics.has(instrument), instrument)
    }
    // The SDK goes on showing what it was told last.
    const shown = async () => (await collect()).get('tidemark_written_chunks')?.dataPoints[0]?.value
    stop()
    await produceAll(engine, 'unobserved', texts(5))
    assert.equal(await shown(), 5)
    observe(engine, { meter: provider.getMeter('test'), attributes: { engine: 'chat' } })
    assert.equal(await shown(), 10)
    await engine.close()
    assert.equal(await shown(), 10, 'a closed engine is no error')
    await provider.shutdown()
  })
})

describe('metrics of a broken connection', () => {
  test('G1 live frames that the log has shown before are counted and dropped', async (t) => {
    const redis = await sharedRedis()
    const proxy = await openProxy(t, redis.url)
    const near = createEngine({ url: redis.url, keyPrefix: 'test-late' })
    const far = createEngine({ url: proxy.url, keyPrefix: 'test-late' })
    t.after(() => Promise.all([near.close(), far.close()]))
    const producer = await near.produce('late')
    await far.status('late')
    const readers = [new Follower(far.subscribe('late'))]
    await producer.append('one')
    await readers[0]?.has(1)
    assert.equal(far.metrics().duplicatesDropped, 0)
    proxy.delayOne(1, 500)
    await producer.append('two')
    readers.push(new Follower(far.subscribe('late')))
    for (const reader of readers) await reader.has(2)
    assert.equal(far.metrics().duplicatesDropped, 0, 'its message is still on its way')
    await until(() => far.metrics().duplicatesDropped === 1, { message: 'the message has come' })
    proxy.delayOne(1, 0)
    await producer.append('three')
    for (const reader of readers) await reader.has(3)
    assert.equal(far.metrics().duplicatesDropped, 1, 'this one is news')
    await producer.complete()
    for (const reader of readers) await reader.end()
    checkHistory({ written: numbered(['one', 'two', 'three']), readers })
  })

  test('checklist 11: reconnects, retries and repaired gaps are counted', async (t) => {
    const redis = await sharedRedis()
    const proxy = await openProxy(t, redis.url)
    const options = { url: proxy.url, keyPrefix: 'test-cut' }
    const near = createEngine({ ...options, url: redis.url })
    const far = createEngine(options)
    t.after(() => Promise.all([near.close(), far.close()]))
    const producer = await near.produce('cut')
    const reader = new Follower(far.subscribe('cut'))
    await producer.append('one')
    await reader.has(1)
    await proxy.refuse(true)
    proxy.cut()
    await until(() => far.state === 'degraded')
    assert.equal(far.metrics().state, 'degraded')
    await assert.rejects(far.status('cut'), { code: 'ERR_CONNECTION', retryable: true })
    await producer.append('two')
    await until(() => far.metrics().state === 'degraded')
    await proxy.refuse(false)
    await reader.has(2)
    await until(() => far.metrics().state === 'ready')
    const { reconnects, gapsRepaired } = far.metrics()
    assert.ok(reconnects >= 1 && gapsRepaired >= 1, JSON.stringify({ reconnects, gapsRepaired }))
    await producer.complete()
    checkHistory({ written: numbered(['one', 'two']), readers: [await reader.end()] })

    const writer = await far.produce('retried')
    await proxy.refuse(true)
    proxy.cut()
    const append = writer.append('one')
    await until(() => far.metrics().queuedBytes === 3)
    await until(() => far.metrics().retries > 0)
    await proxy.refuse(false)
    await append
    assert.equal(far.metrics().queuedBytes, 0)
    await writer.complete()
  })
})

test('checklist 11: the Grafana dashboard asks for metrics that there are, and for all of them', async () => {
  const path = new URL('../../docs/grafana/tidemark.json', import.meta.url)
  const dashboard = JSON.parse(await readFile(path, 'utf8'))
  assert.equal(typeof dashboard.title, 'string')
  assert.equal(dashboard.id, null, 'an import gives it its number')
  assert.ok(dashboard.schemaVersion >= 36)
  const variables = new Set(dashboard.templating.list.map((/** @type {any} */ each) => each.name))
  const [source] = dashboard.templating.list
  assert.equal(source.type, 'datasource')
  const [input] = dashboard.__inputs
  assert.deepEqual([input.type, input.pluginId], ['datasource', 'prometheus'], 'an import asks for it')
  assert.equal(source.current.value, `$\{${input.name}}`)
  const types = new Set(dashboard.panels.map((/** @type {any} */ { type }) => type))
  const plugins = dashboard.__requires.filter((/** @type {any} */ { type }) => type === 'panel')
  assert.deepEqual(new Set(plugins.map((/** @type {any} */ { id }) => id)), types)
  const engine = createEngine({ url: 'memory:dashboard' })
  const families = [...parse(engine.metrics({ format: 'prometheus' }))]
  await engine.close()
  const exported = new Map(
    families.flatMap(([name, { type }]) =>
      (type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']).map((suffix) => [name + suffix, name]),
    ),
  )
  const asked = new Set()
  const ids = new Set()
  const cells = new Set()
  assert.ok(dashboard.panels.length > 10)
  for (const panel of dashboard.panels) {
    assert.ok(!ids.has(panel.id) && ids.add(panel.id))
    assert.ok(['timeseries', 'state-timeline', 'stat'].includes(panel.type), panel.type)
    assert.deepEqual(panel.datasource, { type: 'prometheus', uid: '$' + '{datasource}' })
    const { x, y, w, h } = panel.gridPos
    assert.ok(x + w <= 24, `${panel.title} is beyond the edge`)
    for (let row = y; row < y + h; row++) {
      for (let column = x; column < x + w; column++) {
        const cell = `${row} ${column}`
        assert.ok(!cells.has(cell) && cells.add(cell), `${panel.title} lies on another panel`)
      }
    }
    const refs = panel.targets.map((/** @type {any} */ target) => target.refId)
    assert.equal(new Set(refs).size, refs.length)
    for (const { expr } of panel.targets) {
      const names = expr.match(/tidemark_\w+/g)
      assert.ok(names?.length > 0, expr)
      for (const name of names) {
        assert.ok(exported.has(name), `${name} in ${panel.title} is not exported`)
        asked.add(exported.get(name))
      }
      for (const [, variable] of expr.matchAll(/\$(\w+)/g)) {
        assert.ok(variable === '__rate_interval' || variables.has(variable), `$${variable}`)
      }
      for (const pair of ['()', '{}', '[]']) {
        assert.equal(expr.split(pair[0]).length, expr.split(pair[1]).length, expr)
      }
      // A counter's value means nothing, its rate does.
      if (/_(total|bucket)\b/.test(expr)) assert.match(expr, /rate\(/)
    }
  }
  assert.deepEqual([...asked].sort(), families.map(([name]) => name).sort())
})

test('checklist 11: the table in docs/operations.md has every metric, and no other', async () => {
  const text = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const documented = [...text.matchAll(/^\| `(tidemark_\w+)/gm)].map(([, name]) => name)
  const engine = createEngine({ url: 'memory:documented' })
  const exported = [...parse(engine.metrics({ format: 'prometheus' })).keys()]
  await engine.close()
  assert.deepEqual(documented, exported)
})

test('the alert rules are those that docs/operations.md lists, and ask for metrics that there are', async () => {
  const read = (/** @type {string} */ path) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')
  const [rules, guide] = await Promise.all([
    read('docs/prometheus/tidemark.rules.yml'),
    read('docs/operations.md'),
  ])
  const [, ...alerts] = rules.split(/^ {6}- alert: /m)
  const inFile = alerts.map((alert) => ({
    name: alert.split('\n')[0]?.replace('Tidemark', '').toLowerCase(),
    expr: /^ {8}expr: (.*)$/m.exec(alert)?.[1],
    for: /^ {8}for: (\d+)m$/m.exec(alert)?.[1],
    means: JSON.parse(/^ {10}description: (".*")$/m.exec(alert)?.[1] ?? 'null'),
  }))
  const table = guide.slice(guide.indexOf('## What to watch'))
  const inGuide = [...table.matchAll(/^\| ([\w ]+) \| `(.*)`(?: for (\d+) min)? \| (.*) \|$/gm)].map(
    (row) => ({
      name: row[1]?.replaceAll(' ', ''),
      expr: row[2]?.replaceAll('\\|', '|'),
      for: row[3],
      means: row[4]?.replaceAll('`', ''),
    }),
  )
  assert.ok(inFile.length >= 8)
  assert.deepEqual(inFile, inGuide)
  const engine = createEngine({ url: 'memory:rules' })
  const exported = parse(engine.metrics({ format: 'prometheus' }))
  await engine.close()
  for (const { expr } of inFile) {
    const [name] = /tidemark_\w+/.exec(expr ?? '') ?? []
    assert.ok(exported.has(name?.replace(/_bucket$/, '') ?? ''), expr)
  }
})

test('the version is a metric, and dashboard and rules come with the package', async () => {
  const engine = createEngine({ url: 'memory:version' })
  const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
  assert.match(
    engine.metrics({ format: 'prometheus' }),
    new RegExp(`^tidemark_build_info\\{version="${manifest.version.replaceAll('.', '\\.')}"\\} 1$`, 'm'),
  )
  await engine.close()
  for (const { name, file } of await pack()) {
    if (name !== manifest.name) continue
    const { stdout } = await promisify(execFile)('tar', ['-tzf', file])
    for (const path of ['docs/grafana/tidemark.json', 'docs/prometheus/tidemark.rules.yml'])
      assert.ok(stdout.split('\n').includes(`package/${path}`), path)
  }
})
