import type { GroupStatus } from '../native/native'
import { type Command, type Context, EXIT } from './command'
import { argument, number, type Output, printable } from './output'
import { noteDamaged } from './state'
import { noStream, under } from './streams'

/** How many streams are asked at the same time. */
const AT_ONCE = 32
/** The width of the columns before the stream, unless a group's name is longer. */
const PADDED = 48

export const groups: Command = {
  summary: 'List groups, and how far each of them is.',
  args: '[stream]',
  arity: [0, 1],
  options: {},
  details: `The groups of engine.consume that share a stream's chunks. Without a stream: those of engine.finished and onFinish,
and then those of every stream that has any. BEHIND was never delivered (– where the server does not know: Redis before 7). HELD is delivered and not yet
acknowledged. DEAD was delivered too often: tidemark dead lists it. With --json, one object on each line.`,
  async run(context) {
    const { engine, args, out, config } = context
    const [streamId] = args
    let count = 0
    const show = (found: GroupStatus[], of?: string) => {
      for (const each of found.toSorted((one, other) => (one.group < other.group ? -1 : 1))) {
        if (count++ === 0 && !out.json) {
          const header = '   BEHIND      HELD      DEAD  GROUP'
          out.line(out.style('dim', streamId === undefined ? `${header.padEnd(PADDED)}  STREAM` : header))
        }
        print(out, each, of)
      }
    }
    if (streamId === undefined) {
      show((await engine.groups(null)) ?? [])
      await eachStream(context, show)
    } else {
      const found = await engine.groups(streamId)
      if (found === null) return noStream(context, streamId)
      show(found)
    }
    const of = streamId === undefined ? '' : ` of ${argument(streamId)}`
    if (count === 0 && !out.json) out.note(`No groups${of}${under(config.keyPrefix)}.`)
    return EXIT.ok
  },
}

/** Shows the groups of every stream; asks for a few streams at a time. */
async function eachStream(
  { engine, out, signal }: Context,
  show: (found: GroupStatus[], of: string) => void,
): Promise<void> {
  let seen = 0
  const ask = async (streamIds: string[]) => {
    const found = await Promise.all(streamIds.map((streamId) => engine.groups(streamId)))
    out.clear()
    for (const [index, groups] of found.entries()) show(groups ?? [], streamIds[index] as string)
    seen += streamIds.length
    out.progress(`${number(seen)} streams …`)
  }
  let streamIds: string[] = []
  for await (const { streamId } of engine.survey(noteDamaged(out))) {
    signal.throwIfAborted()
    if (streamIds.push(streamId) < AT_ONCE) continue
    await ask(streamIds)
    streamIds = []
  }
  await ask(streamIds)
  out.clear()
}

/** `of` is the stream if it has to be shown; groups of finished generations belong to none. */
function print(out: Output, each: GroupStatus, of: string | undefined): void {
  if (out.json) {
    out.value(of === undefined ? each : { ...each, streamId: of })
    return
  }
  const { group, behind, held, dead } = each
  const cells = [behind === null ? '–' : number(behind), number(held), number(dead)]
  const line = `${cells.map((cell) => cell.padStart(9)).join(' ')}  ${printable(group)}`
  out.line(of === undefined ? line : `${line.padEnd(PADDED)}  ${printable(of)}`)
}
