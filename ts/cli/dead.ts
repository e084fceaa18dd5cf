import type { DeadChunk, DeadFinished } from '../../index'
import { type Command, type Context, EXIT, UsageError } from './command'
import { argument, bytes, number, type Output, printable } from './output'
import { jsonOf, ownerOf, under } from './streams'

const LEAST_SHOWN = 24

export const dead: Command = {
  summary: "List a group's dead letters: items that were delivered too often.",
  args: '<group> [stream]',
  arity: [1, 2],
  options: {
    retry: { type: 'boolean', help: 'hand them out again, as if for the first time' },
    drop: { type: 'boolean', help: 'give them up' },
  },
  details: `With a stream: those of a group of engine.consume. Without one: those of a group of engine.finished.
With --json, one object on each line, with the chunk's data, or base64 for bytes.`,
  async run(context) {
    const { args, out, values, signal, config } = context
    const [group = '', streamId] = args
    if (values.retry === true && values.drop === true)
      throw new UsageError('--retry and --drop exclude each other')
    const letters = await lettersOf(context, group, streamId)
    let count = 0
    for await (const letter of letters) {
      signal.throwIfAborted()
      count += 1
      show(out, letter)
      if (values.retry === true) await letter.retry()
      if (values.drop === true) await letter.drop()
    }
    const done = values.retry === true ? ', handed out again' : values.drop === true ? ', given up' : ''
    const of = `the group ${argument(group)}${streamId === undefined ? '' : ` of ${argument(streamId)}`}`
    if (out.json) return EXIT.ok
    if (count === 0) out.note(`No dead letters of ${of}${under(config.keyPrefix)}.`)
    else out.note(`${number(count)} dead ${count === 1 ? 'letter' : 'letters'} of ${of}${done}.`)
    return EXIT.ok
  },
}

async function lettersOf(
  { engine }: Context,
  group: string,
  streamId: string | undefined,
): Promise<AsyncIterable<DeadChunk | DeadFinished>> {
  if (streamId === undefined) return engine.deadLetters({ group })
  return engine.deadLetters({ group, streamId, owner: await ownerOf(engine, streamId) })
}

function show(out: Output, letter: DeadChunk | DeadFinished): void {
  const { deliveries, retry, drop, ...known } = letter
  if (out.json) {
    const data = 'data' in known ? known.data : null
    out.value({ ...known, deliveries, ...(data === null ? {} : { data: undefined, ...jsonOf(data) }) })
    return
  }
  const times = `handed out ${number(deliveries)} times`
  if ('streamId' in known) {
    const reason = known.reason === null ? '' : `: ${printable(known.reason)}`
    out.line(`${times}  ${known.outcome}  ${printable(known.streamId)} ${known.cursor}${reason}`)
    return
  }
  const shown = known.data === null ? 'can no longer be read' : beginning(known.data, out.columns)
  out.line(`${times}  ${known.cursor}  ${shown}`)
}

/** A text, shortened to a line. */
function beginning(data: string | Uint8Array, columns: number): string {
  if (typeof data !== 'string') return bytes(data.length)
  const most = Math.max(LEAST_SHOWN, Math.min(columns, 160) - 60)
  const characters = [...printable(data)]
  return characters.length > most ? `${characters.slice(0, most - 1).join('')}…` : characters.join('')
}
