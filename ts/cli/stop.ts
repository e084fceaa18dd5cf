import { type Command, EXIT, text } from './command'
import { argument } from './output'

const MEANING = {
  stopping: 'its producers have been told',
  kept: 'no such stream; kept for 10 s, for its start',
  ended: 'it had ended before',
} as const

export const stop: Command = {
  summary: 'Stop the producers of streams, wherever they run.',
  args: '<stream>...',
  arity: [1, Number.POSITIVE_INFINITY],
  options: { reason: { type: 'string', value: 'text', help: 'what the producers and readers are told' } },
  async run({ engine, args, out, values }) {
    for (const streamId of args) {
      // Anybody who can write to the store may stop every stream.
      const status = await engine.status(streamId)
      const owner = status?.owner ?? undefined
      const result = await engine.stop(streamId, { reason: text(values, 'reason'), owner })
      const isOfLog = status?.log !== undefined && result === 'stopping'
      const meaning = isOfLog ? 'whoever appends to it next is told' : MEANING[result]
      if (out.json) out.value({ streamId, result })
      else out.line(`${argument(streamId)}: ${out.style('bold', result)}, ${meaning}`)
    }
    return EXIT.ok
  },
}
