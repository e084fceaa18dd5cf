import type { Chunk, StreamStatus } from '../../index'
import { cursorAt, seqOf } from '../util/cursor'
import { WholeText } from '../util/text'
import { type Command, type Context, count, EXIT, span, text, UsageError } from './command'
import { printable } from './output'
import { jsonOf, noStream } from './streams'

export const tail: Command = {
  summary: 'Print the chunks of a stream.',
  args: '<stream>',
  arity: [1, 1],
  options: {
    follow: { type: 'boolean', short: 'f', help: 'go on until the stream ends, or wait for it to begin' },
    lines: { type: 'string', short: 'n', value: 'count', help: 'only the last chunks; default: all' },
    from: { type: 'string', value: 'cursor', help: 'only the chunks after this cursor' },
    wait: {
      type: 'string',
      value: 'duration',
      help: 'with -f, how long to wait for the stream; default 30s',
    },
  },
  details: `Chunks are printed as they are, one after the other; with --json, one object on each line
({ seq, cursor, data }, or base64 for bytes). On a terminal, control characters are made visible.
Exits with 0 when the stream is complete or stopped, or without -f at its last chunk; with 1 when it
failed or was interrupted.`,
  async run(context) {
    const { engine, args, out, values, signal } = context
    const [streamId = ''] = args
    const follow = values.follow === true
    const last = count(values, 'lines')
    const from = text(values, 'from')
    if (last !== undefined && from !== undefined)
      throw new UsageError('--lines and --from exclude each other')
    const status = await engine.status(streamId)
    if (status === null && !follow) return noStream(context, streamId)
    const until = follow ? Number.POSITIVE_INFINITY : (status?.lastSeq ?? 0)
    const start = from ?? (status === null || last === undefined ? 'start' : lastOf(status, last))
    if (isBeyond(start, until, status)) return EXIT.ok
    const subscription = engine.subscribe(streamId, {
      from: start,
      wait: span(values, 'wait'),
      // Anybody who can read the store may read every stream.
      owner: status?.owner ?? undefined,
      signal,
    })
    const screen = out.isTerminal && !out.json ? new WholeText() : undefined
    for await (const chunk of subscription) {
      await (screen === undefined ? print(context, chunk) : out.raw(shown(screen.push(chunk.data))))
      if (chunk.seq >= until) break
    }
    if (screen !== undefined) out.line(screen.end())
    if (follow) out.note(`The stream is ${subscription.outcome}.`)
    return EXIT.ok
  },
}

function lastOf({ generation, firstSeq, lastSeq }: StreamStatus, count: number): string {
  return cursorAt(generation, Math.max(firstSeq - 1, lastSeq - count))
}

/** Whether nothing is left to print, so that there is no chunk to wait for. */
function isBeyond(start: string, until: number, status: StreamStatus | null): boolean {
  if (status === null || until === Number.POSITIVE_INFINITY) return false
  if (start === 'now') return true
  const seq = start === 'start' ? status.firstSeq - 1 : seqOf(start)
  return seq >= until
}

async function print({ out }: Context, { seq, cursor, data }: Chunk): Promise<void> {
  if (!out.json) return out.raw(data)
  await out.raw(`${JSON.stringify({ seq, cursor, ...jsonOf(data) })}\n`)
}

/** Text for a terminal: line feeds and tabs are kept, other control characters made visible. */
function shown(text: string): string {
  return text
    .split(/([\n\t])/)
    .map((part) => (/[\n\t]/.test(part) ? part : printable(part)))
    .join('')
}
