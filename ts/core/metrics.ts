import type { Histogram, MemorySample, Metrics } from '../../index'
import { type Counted, loadNative } from '../native/native'

export function combined(counted: Counted, memory: MemorySample | null): Metrics {
  return {
    ...counted,
    averageChunkBytes: counted.bytesIn / (counted.chunksIn || 1),
    compressionRatio: counted.bytesIn / (counted.encodedBytes - counted.savedBytes || 1),
    memory,
  }
}

/** One number of a family; the label distinguishes it from the others. */
type Sample = readonly [value: number, label?: string]

/** The metrics that share one name in Prometheus. */
export type Family = { readonly name: string; readonly help: string } & (
  | {
      readonly type: 'counter' | 'gauge'
      /** The label's name, if there is one. */
      readonly label?: string
      readonly of: (metrics: Metrics) => readonly Sample[]
    }
  | { readonly type: 'histogram'; readonly of: (metrics: Metrics) => Histogram }
)

const STATES = ['idle', 'connecting', 'ready', 'reconnecting', 'degraded', 'closed'] as const

/** Every metric, under its name for Prometheus. */
export const FAMILIES: readonly Family[] = [
  {
    name: 'tidemark_build_info',
    type: 'gauge',
    help: 'Always 1; the label is the version that runs here.',
    label: 'version',
    of: () => [[1, loadNative().version()]],
  },
  {
    name: 'tidemark_connection_state',
    type: 'gauge',
    help: 'Whether the connection to the store is in this state.',
    label: 'state',
    of: ({ state }) => STATES.map((each) => [Number(each === state), each]),
  },
  gauge('tidemark_producers', 'Producers that have not ended.', (m) => m.producers),
  gauge('tidemark_readers', 'Open subscriptions.', (m) => m.readers),
  gauge('tidemark_streams', 'Streams with a producer or a reader here.', (m) => m.streams),
  gauge('tidemark_queued_bytes', 'Written bytes that wait for the store.', (m) => m.queuedBytes),
  gauge(
    'tidemark_longest_queue_bytes',
    'The longest queue, with the cost of its chunks.',
    (m) => m.longestQueueBytes,
  ),
  gauge('tidemark_undelivered', 'Deliveries that wait for the event loop.', (m) => m.undelivered),
  counter('tidemark_written_chunks_total', 'Chunks accepted by the store.', (m) => m.chunksIn),
  counter('tidemark_written_bytes_total', 'Their payloads.', (m) => m.bytesIn),
  counter(
    'tidemark_encoded_bytes_total',
    'The frames they were stored as at first, before sealing.',
    (m) => m.encodedBytes,
  ),
  counter('tidemark_saved_bytes_total', 'What sealing has saved of these.', (m) => m.savedBytes),
  counter('tidemark_written_batches_total', 'The batches they were written in.', (m) => m.batches),
  counter('tidemark_delivered_chunks_total', 'Chunks delivered to readers.', (m) => m.chunksOut),
  counter('tidemark_delivered_bytes_total', 'Their payloads.', (m) => m.bytesOut),
  gauge('tidemark_average_chunk_bytes', 'The average payload of a chunk.', (m) => m.averageChunkBytes),
  gauge(
    'tidemark_compression_ratio',
    'Payload bytes by stored bytes that are left.',
    (m) => m.compressionRatio,
  ),
  {
    name: 'tidemark_resumes_total',
    type: 'counter',
    help: 'Readers that came back with a cursor, by what served them: ring (memory) or log (the store).',
    label: 'source',
    of: ({ resumeHits, resumeMisses }) => [
      [resumeHits, 'ring'],
      [resumeMisses, 'log'],
    ],
  },
  counter('tidemark_gaps_total', 'Readers whose chunks were gone (ERR_GAP).', (m) => m.gaps),
  counter('tidemark_gaps_repaired_total', 'Missing live frames found in the log.', (m) => m.gapsRepaired),
  counter('tidemark_duplicates_dropped_total', 'Live frames known already.', (m) => m.duplicatesDropped),
  counter('tidemark_retries_total', 'Operations tried again.', (m) => m.retries),
  counter('tidemark_reconnects_total', 'Connections lost and made again.', (m) => m.reconnects),
  {
    name: 'tidemark_producers_ended_total',
    type: 'counter',
    help: 'Producers that ended, by outcome; lost: by an error.',
    label: 'outcome',
    of: ({ ended }) => Object.entries(ended).map(([outcome, count]) => [count, outcome]),
  },
  histogram('tidemark_append_duration_seconds', 'From write to acceptance.', (m) => m.appendSeconds),
  histogram('tidemark_delivery_duration_seconds', 'From readable to handed over.', (m) => m.deliverySeconds),
  histogram('tidemark_stop_request_duration_seconds', 'A stop request.', (m) => m.stopRequestSeconds),
  histogram('tidemark_stop_duration_seconds', 'From a stop to the end.', (m) => m.stopSeconds),
  {
    name: 'tidemark_stream_memory_bytes',
    type: 'gauge',
    help: 'Memory of a stream in the store, of the last sample.',
    label: 'statistic',
    of: ({ memory }) =>
      memory === null
        ? []
        : [
            [memory.averageBytes, 'average'],
            [memory.largestBytes, 'largest'],
          ],
  },
]

type Read = (metrics: Metrics) => number

function counter(name: string, help: string, read: Read): Family {
  return { name, type: 'counter', help, of: (metrics) => [[read(metrics)]] }
}

function gauge(name: string, help: string, read: Read): Family {
  return { name, type: 'gauge', help, of: (metrics) => [[read(metrics)]] }
}

function histogram(name: string, help: string, of: (metrics: Metrics) => Histogram): Family {
  return { name, type: 'histogram', help, of }
}

/** Prometheus' text format, version 0.0.4. No label needs escaping: they are all words of ours. */
export function prometheus(metrics: Metrics): string {
  return FAMILIES.map((family) => {
    const { name, type, help } = family
    return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines(family, metrics).join('')}`
  }).join('')
}

function lines(family: Family, metrics: Metrics): string[] {
  const { name } = family
  if (family.type !== 'histogram') {
    return family
      .of(metrics)
      .map(([value, label]) =>
        label === undefined ? `${name} ${value}\n` : `${name}{${family.label}="${label}"} ${value}\n`,
      )
  }
  const { buckets, count, sum } = family.of(metrics)
  return [
    ...buckets.map((bucket) => `${name}_bucket{le="${bucket.le}"} ${bucket.count}\n`),
    `${name}_bucket{le="+Inf"} ${count}\n`,
    `${name}_sum ${sum}\n`,
    `${name}_count ${count}\n`,
  ]
}
