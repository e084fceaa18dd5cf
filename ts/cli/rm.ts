import { type Command, EXIT } from './command'
import { argument } from './output'
import { under } from './streams'

export const rm: Command = {
  summary: 'Remove streams.',
  args: '<stream>...',
  arity: [1, Number.POSITIVE_INFINITY],
  options: {
    force: { type: 'boolean', help: 'live ones too: readers end as interrupted, producers are fenced' },
  },
  async run({ engine, args, out, values, config }) {
    let code: number = EXIT.ok
    for (const streamId of args) {
      const found = values.force === true ? null : await engine.inspect(streamId)
      const isLive = found !== null && 'state' in found && found.state === 'active'
      const result = isLive ? 'live' : (await engine.delete(streamId)) ? 'removed' : 'not found'
      if (result === 'live') code = EXIT.failed
      if (result === 'not found' && code === EXIT.ok) code = EXIT.notFound
      const advice = {
        live: ', use --force or stop it first',
        'not found': under(config.keyPrefix),
        removed: '',
      }
      if (out.json) out.value({ streamId, result })
      else out.line(`${argument(streamId)}: ${result}${advice[result]}`)
    }
    return code
  },
}
