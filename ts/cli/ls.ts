import type { StreamStatus } from '../../index'
import { suggestion } from '../util/suggestion'
import { type Command, type Context, count, EXIT, text, texts, UsageError } from './command'
import { bytes, duration, number, type Output, printable } from './output'
import { isSort, SORTS, type Sort, Sorted } from './sort'
import { chunks, noteDamaged, STATES, stateCell } from './state'
import { under } from './streams'
import { cut, pad } from './table'

const NUMBERS = [
  ['CHUNKS', 7],
  ['STORED', 9],
  ['LAST WRITE', 10],
  ['EXPIRES', 9],
] as const
/** The width of the columns before the owner. */
const FIXED = 11 + NUMBERS.reduce((sum, [, columns]) => sum + 2 + columns, 0) + 2
const LEAST_STREAM = 12

export const ls: Command = {
  summary: 'List streams.',
  args: '',
  arity: [0, 0],
  options: {
    state: { type: 'string', multiple: true, value: 'state', help: `only these: ${STATES.join(', ')}` },
    name: { type: 'string', value: 'text', help: 'only ids with this in them; * stands for anything' },
    owner: { type: 'string', value: 'owner', help: "only this owner's" },
    sort: { type: 'string', value: 'by', help: `${SORTS.join(', ')}; default last-write` },
    reverse: { type: 'boolean', short: 'r', help: 'the other way round' },
    limit: { type: 'string', short: 'n', value: 'count', help: 'at most so many' },
  },
  details: `Times and sizes begin with the latest and largest, names with a. --sort none lists each stream as it is
found, which is quicker where there are very many. STORED is what the store keeps, LAST WRITE of a live
stream is accurate to 90 s. Ids that are longer than a terminal is wide lose their middle; they are
whole in a file, a pipe, and with --json, which writes one object on each line.`,
  async run(context) {
    const { engine, values, out, signal } = context
    const limit = count(values, 'limit') ?? Number.POSITIVE_INFINITY
    const order = orderOf(values)
    const isWanted = filter(values)
    const show = printer(out)
    const sorted = order === 'none' ? undefined : new Sorted(order, values.reverse === true, limit)
    const seen = { all: 0, matching: 0, shown: 0 }
    for await (const status of engine.survey(noteDamaged(out))) {
      signal.throwIfAborted()
      out.progress(`${number(++seen.all)} streams …`)
      if (!isWanted(status)) continue
      seen.matching += 1
      if (sorted !== undefined) {
        sorted.add(status)
        continue
      }
      show(status)
      if (++seen.shown >= limit) break
    }
    for (const status of sorted?.values() ?? []) {
      show(status)
      seen.shown += 1
    }
    out.clear()
    if (!out.json) out.note(total(seen, context, order === 'none' && seen.shown >= limit))
    return EXIT.ok
  },
}

function orderOf(values: Context['values']): Sort {
  const sort = text(values, 'sort') ?? 'last-write'
  if (isSort(sort)) return sort
  throw new UsageError(`--sort is one of ${SORTS.join(', ')}${suggestion(sort, SORTS)}`)
}

function filter(values: Context['values']): (status: StreamStatus) => boolean {
  const [states, owner] = [texts(values, 'state'), text(values, 'owner')]
  const unknown = states?.find((state) => !STATES.some((each) => each === state))
  if (unknown !== undefined)
    throw new UsageError(`--state is one of ${STATES.join(', ')}${suggestion(unknown, STATES)}`)
  const isNamed = pattern(text(values, 'name'))
  return (status) =>
    (states === undefined || states.includes(status.state)) &&
    (owner === undefined || status.owner === owner) &&
    isNamed(status.streamId)
}

/** A text may be anywhere in the id; a pattern with `*` has to match all of it. */
function pattern(name: string | undefined): (streamId: string) => boolean {
  if (name === undefined) return () => true
  if (!name.includes('*')) return (streamId) => streamId.includes(name)
  const [first = '', ...rest] = name.split('*')
  const last = rest.pop() ?? ''
  return (streamId) => {
    if (!streamId.startsWith(first)) return false
    let at = first.length
    for (const part of rest) {
      const found = streamId.indexOf(part, at)
      if (found < 0) return false
      at = found + part.length
    }
    return streamId.length - last.length >= at && streamId.endsWith(last)
  }
}

/** Prints one stream, and the header before the first. */
function printer(out: Output): (status: StreamStatus) => void {
  if (out.json) return (status) => out.value(status)
  const room = out.columns - FIXED
  const owner = Math.min(16, Math.max(5, Math.floor(room / 3)))
  const stream = Math.max(LEAST_STREAM, room - owner - 2)
  const line = (state: string, cells: readonly string[], ownerCell: string, streamCell: string): string =>
    `${state}${cells.map((cell, at) => `  ${cell.padStart(NUMBERS[at]?.[1] ?? 0)}`).join('')}  ${pad(ownerCell, owner)}  ${streamCell}`
  const fitted = (text: string, columns: number): string => (out.isTerminal ? cut(text, columns) : text)
  let hasHeader = false
  return (status) => {
    if (!hasHeader) {
      const header = line(
        'STATE'.padEnd(11),
        NUMBERS.map(([name]) => name),
        'OWNER',
        'STREAM',
      )
      out.line(out.style('dim', header))
    }
    hasHeader = true
    const cells = [
      number(chunks(status)),
      bytes(status.storedBytes),
      `${duration(Date.now() - status.updatedAt.getTime())} ago`,
      `in ${duration(status.ttlMs)}`,
    ]
    out.line(
      line(
        stateCell(out, status.state),
        cells,
        fitted(printable(status.owner ?? '–'), owner),
        fitted(printable(status.streamId), stream),
      ),
    )
  }
}

function total(
  { all, matching, shown }: { all: number; matching: number; shown: number },
  { config }: Context,
  isUnfinished: boolean,
): string {
  if (all === 0) return `No streams${under(config.keyPrefix)}.`
  const others = plural(all)
  if (matching === 0) return `None of the ${others}${under(config.keyPrefix)} matches.`
  if (isUnfinished) return `${number(shown)} shown, there may be more.`
  if (shown < matching)
    return `${number(shown)} of ${plural(matching)}${matching < all ? ` that match, of ${number(all)}` : ''}.`
  return matching < all ? `${number(matching)} of ${others}.` : `${others}.`
}

function plural(streams: number): string {
  return `${number(streams)} ${streams === 1 ? 'stream' : 'streams'}`
}
