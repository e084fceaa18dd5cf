import { unlessRefused } from '../errors/refused'
import { type Command, count, EXIT, UsageError } from './command'
import { bytes, number } from './output'
import { chunks, noteDamaged, STATES, stateCell } from './state'
import { under } from './streams'

export const stats: Command = {
  summary: 'Count streams, chunks and bytes.',
  args: '',
  arity: [0, 0],
  options: {
    sample: {
      type: 'string',
      value: 'count',
      help: 'streams whose memory is measured, at most 64; default 16',
    },
  },
  details: 'BYTES is what was written, STORED what the store keeps of it: less, as sealing compresses it.',
  async run({ engine, values, out, signal, address, config }) {
    const sample = count(values, 'sample') ?? 16
    if (sample > 64) throw new UsageError('--sample takes at most 64')
    const memory = await unlessRefused(engine.sampleMemory({ streams: sample }))
    const states = STATES.map((state) => ({ state, streams: 0, chunks: 0, bytes: 0, storedBytes: 0 }))
    const total = { streams: 0, chunks: 0, bytes: 0, storedBytes: 0, producers: 0 }
    for await (const status of engine.survey(noteDamaged(out))) {
      signal.throwIfAborted()
      total.producers += status.producers
      for (const sum of [total, states.find(({ state }) => state === status.state)]) {
        if (sum === undefined) continue
        sum.streams += 1
        sum.chunks += chunks(status)
        sum.bytes += status.bytes
        sum.storedBytes += status.storedBytes
      }
      out.progress(`${number(total.streams)} streams …`)
    }
    out.clear()
    if (out.json) {
      const sampled = memory && { ...memory, streams: memory.streams.length }
      out.value({ address, ...total, states, memory: sampled })
      return EXIT.ok
    }
    out.line(
      `${out.style('bold', address)}: ${number(total.streams)} streams, ${number(total.producers)} producers`,
    )
    out.line(out.style('dim', 'STATE           STREAMS      CHUNKS       BYTES      STORED'))
    const row = (name: string, sum: Omit<typeof total, 'producers'>): string =>
      `${name} ${number(sum.streams).padStart(11)} ${number(sum.chunks).padStart(11)} ${bytes(sum.bytes).padStart(11)} ${bytes(sum.storedBytes).padStart(11)}`
    for (const sum of states) out.line(row(stateCell(out, sum.state), sum))
    out.line(row('all'.padEnd(11), total))
    if (memory !== null && memory.streams.length > 0) {
      const { averageBytes, largestBytes } = memory
      out.line(
        `Memory of ${memory.streams.length} of them: ${bytes(averageBytes)} on average, ${bytes(largestBytes)} at most.`,
      )
    }
    if (total.streams === 0) out.note(`No streams${under(config.keyPrefix)}.`)
    return EXIT.ok
  },
}
