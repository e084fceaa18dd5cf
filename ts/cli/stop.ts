import { type Command, EXIT, text } from './command'
import { argument } from './output'
import { ownerOf } from './streams'

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
      const owner = await ownerOf(engine, streamId)
      const result = await engine.stop(streamId, { reason: text(values, 'reason'), owner })
      if (out.json) out.value({ streamId, result })
      else out.line(`${argument(streamId)}: ${out.style('bold', result)}, ${MEANING[result]}`)
    }
    return EXIT.ok
  },
}
