import { unlessRefused } from '../errors/refused'
import { type Command, EXIT } from './command'
import { bytes, duration, number, printable } from './output'
import { chunks, stateCell } from './state'
import { noStream } from './streams'

export const show: Command = {
  summary: 'Show what is known of a stream.',
  args: '<stream>',
  arity: [1, 1],
  options: {},
  async run(context) {
    const { engine, args, out } = context
    const [streamId = ''] = args
    const status = await engine.status(streamId)
    if (status === null) return noStream(context, streamId)
    const memory = await unlessRefused(engine.memoryOf(streamId))
    if (out.json) {
      out.value({ ...status, memoryBytes: memory })
      return EXIT.ok
    }
    const { log } = status
    const fork = log?.fork
    const ago = (date: Date): string => `${date.toISOString()} (${duration(Date.now() - date.getTime())} ago)`
    const rows: [string, string | null | undefined][] = [
      ['stream', printable(status.streamId)],
      ['state', stateCell(out, status.state).trimEnd()],
      ['reason', status.reason],
      ['stop', status.stop],
      ['generation', status.generation],
      ['chunks', `${number(chunks(status))} (seq ${status.firstSeq} to ${status.lastSeq})`],
      ['bytes', `${bytes(status.bytes)}, ${bytes(status.storedBytes)} stored`],
      ['memory', memory === null ? null : bytes(memory)],
      ['producers', log === undefined ? String(status.producers) : null],
      ['log', log?.contentType],
      ['fork', fork && `of ${fork.streamId}, up to seq ${fork.seq}`],
      ['owner', status.owner],
      ['metadata', status.metadata === null ? null : JSON.stringify(status.metadata)],
      ['started', ago(status.startedAt)],
      ['last write', ago(status.updatedAt)],
      ['expires', `in ${duration(status.ttlMs)}`],
    ]
    for (const { consumer, cursor, lag } of status.consumers) {
      rows.push(['consumer', `${printable(consumer)} at ${cursor}, ${number(lag)} behind`])
    }
    for (const [name, value] of rows) {
      if (typeof value !== 'string') continue
      const isOurs = name === 'state'
      out.line(`${out.style('dim', name.padEnd(11))} ${isOurs ? value : printable(value)}`)
    }
    return EXIT.ok
  },
}
