import { type Command, EXIT } from './command'
import { under } from './ls'
import { argument, number, printable } from './output'

export const groups: Command = {
  summary: 'List groups, and how far they are.',
  args: '[stream]',
  arity: [0, 1],
  options: {},
  details: `The groups of engine.consume that share a stream's chunks; without a stream, those of engine.finished and onFinish.
BEHIND is what was never handed out (– where the server does not know: Redis before 7), HELD is handed out and not
acknowledged, DEAD was handed out too often: tidemark dead lists it. With --json, one object on each line.`,
  async run({ engine, args, out, config }) {
    const [streamId] = args
    const found = await engine.groups(streamId ?? null)
    if (found === null) {
      out.note(`There is no stream ${argument(streamId ?? '')}${under(config.keyPrefix)}.`)
      return EXIT.notFound
    }
    const sorted = found.toSorted((one, other) => (one.group < other.group ? -1 : 1))
    if (sorted.length > 0 && !out.json) out.line(out.style('dim', '   BEHIND      HELD      DEAD  GROUP'))
    for (const each of sorted) {
      const { group, behind, held, dead } = each
      const cells = [behind === null ? '–' : number(behind), number(held), number(dead)]
      if (out.json) out.value(each)
      else out.line(`${cells.map((cell) => cell.padStart(9)).join(' ')}  ${printable(group)}`)
    }
    const of = streamId === undefined ? ' of finished generations' : ` of ${argument(streamId)}`
    if (sorted.length === 0 && !out.json) out.note(`No groups${of}${under(config.keyPrefix)}.`)
    return EXIT.ok
  },
}
