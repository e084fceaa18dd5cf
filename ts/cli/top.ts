import { setTimeout as sleep } from 'node:timers/promises'
import type { StreamStatus } from '../../index'
import { duration as durationCheck } from '../options/checks'
import { type Command, type Context, count, EXIT, text } from './command'
import { bytes, duration, number, type Output, printable } from './output'
import { chunks } from './state'
import { cut } from './table'

const DEFAULT_ROWS = 20
/** Lines besides the streams: three above them, and the cursor's. */
const FRAME_ROWS = 4
const HEADER = ['CHUNKS/S', 'BYTES/S', 'CHUNKS', 'STORED', 'PRODUCERS', 'SINCE'] as const
const COLUMNS = 10

/** A stream at the previous look. */
interface Seen {
  generation: string
  lastSeq: number
  bytes: number
  at: number
}

interface Row {
  status: StreamStatus
  chunksPerSecond: number
  bytesPerSecond: number
}

export const top: Command = {
  summary: 'Watch what is being written, refreshed every second.',
  args: '',
  arity: [0, 0],
  options: {
    interval: { type: 'string', value: 'duration', help: 'between two looks, 200ms to 1h; default 1s' },
    limit: { type: 'string', short: 'n', value: 'count', help: 'streams at most; default: what fits, or 20' },
    times: { type: 'string', value: 'count', help: 'end after so many looks; default: Ctrl-C ends it' },
  },
  details: `Live streams, the busiest first. Each refresh reads all streams under the prefix: about 20,000 in a second. The
first one shows no rates yet. With --json, one object for each refresh.`,
  async run(context) {
    const { values, out, signal } = context
    const interval = durationCheck('200ms', '1h')(text(values, 'interval') ?? '1s', 'options.interval')
    const limit = count(values, 'limit') ?? (out.rows === undefined ? DEFAULT_ROWS : out.rows - FRAME_ROWS)
    const times = count(values, 'times') ?? Number.POSITIVE_INFINITY
    let seen = new Map<string, Seen>()
    for (let time = 1; ; time++) {
      const look = await lookAt(context, seen)
      seen = look.seen
      show(context, look, Math.max(1, limit))
      if (time >= times) return EXIT.ok
      await sleep(interval, undefined, { signal })
    }
  },
}

interface Look {
  rows: Row[]
  seen: Map<string, Seen>
  streams: number
  producers: number
}

async function lookAt({ engine, signal }: Context, before: ReadonlyMap<string, Seen>): Promise<Look> {
  const look: Look = { rows: [], seen: new Map(), streams: 0, producers: 0 }
  for await (const status of engine.survey(() => {})) {
    signal.throwIfAborted()
    look.streams += 1
    if (status.state !== 'active') continue
    const { streamId, generation, lastSeq, producers } = status
    const [at, last] = [performance.now(), before.get(streamId)]
    look.producers += producers
    look.seen.set(streamId, { generation, lastSeq, bytes: status.bytes, at })
    const seconds = last?.generation === generation ? (at - last.at) / 1_000 : Number.POSITIVE_INFINITY
    look.rows.push({
      status,
      chunksPerSecond: (lastSeq - (last?.lastSeq ?? 0)) / seconds,
      bytesPerSecond: (status.bytes - (last?.bytes ?? 0)) / seconds,
    })
  }
  look.rows.sort(
    (one, other) =>
      other.chunksPerSecond - one.chunksPerSecond ||
      other.status.startedAt.getTime() - one.status.startedAt.getTime(),
  )
  return look
}

function show({ out, address, config }: Context, { rows, streams, producers }: Look, limit: number): void {
  const sum = (of: (row: Row) => number): number => rows.reduce((total, row) => total + of(row), 0)
  const all = {
    streams,
    active: rows.length,
    producers,
    chunksPerSecond: sum((row) => row.chunksPerSecond),
    bytesPerSecond: sum((row) => row.bytesPerSecond),
  }
  const shown = rows.slice(0, limit)
  if (out.json) {
    const top = shown.map(({ status, ...rates }) => ({ ...rates, ...status }))
    out.value({ at: new Date(), ...all, top })
    return
  }
  const fitted = (text: string): string => (out.isTerminal ? cut(text, out.columns) : text)
  out.screen([
    out.style('bold', fitted(`${address}, prefix ${printable(config.keyPrefix)}`)),
    fitted(
      `${number(all.active)} live of ${number(streams)} streams, ${number(producers)} producers, ` +
        `${rate(all.chunksPerSecond)} chunks/s, ${bytes(all.bytesPerSecond)}/s`,
    ),
    out.style('dim', `${HEADER.map((name) => name.padStart(COLUMNS)).join('')}  STREAM`),
    ...shown.map((row) => line(out, row)),
  ])
}

function line(out: Output, { status, chunksPerSecond, bytesPerSecond }: Row): string {
  const cells = [
    rate(chunksPerSecond),
    bytes(bytesPerSecond),
    number(chunks(status)),
    bytes(status.storedBytes),
    number(status.producers),
    duration(Date.now() - status.startedAt.getTime()),
  ]
  const room = Math.max(12, out.columns - HEADER.length * COLUMNS - 2)
  const name = printable(status.streamId)
  return `${cells.map((cell) => cell.padStart(COLUMNS)).join('')}  ${out.isTerminal ? cut(name, room) : name}`
}

function rate(perSecond: number): string {
  return perSecond >= 10 ? number(Math.round(perSecond)) : perSecond.toFixed(1)
}
