import { type Command, count, EXIT, texts, UsageError } from './command'
import { bytes, duration, number, printable } from './output'
import { chunks, noteDamaged, STATES, stateCell } from './state'

const HEADER = `${'STATE'.padEnd(11)} ${['CHUNKS'.padStart(6), ...['STORED', 'WRITTEN', 'EXPIRES'].map((name) => name.padStart(10))].join('  ')}  STREAM`

export const ls: Command = {
  summary: 'List streams.',
  args: '',
  arity: [0, 0],
  options: {
    state: { type: 'string', multiple: true, value: 'state', help: `only these: ${STATES.join(', ')}` },
    limit: { type: 'string', short: 'n', value: 'count', help: 'end after so many' },
  },
  details: 'In no order. With --json, one object on each line.',
  async run({ engine, values, out, signal }) {
    const states = texts(values, 'state')
    const unknown = states?.find((state) => !STATES.some((each) => each === state))
    if (unknown !== undefined) throw new UsageError(`--state is one of ${STATES.join(', ')}`)
    const limit = count(values, 'limit') ?? Number.POSITIVE_INFINITY
    let scanned = 0
    let listed = 0
    for await (const status of engine.survey(noteDamaged(out))) {
      signal.throwIfAborted()
      out.progress(`${number(++scanned)} streams …`)
      if (states !== undefined && !states.includes(status.state)) continue
      if (out.json) {
        out.value(status)
      } else {
        if (listed === 0) {
          out.line(out.style('dim', HEADER))
        }
        const cells = [
          number(chunks(status)).padStart(6),
          bytes(status.storedBytes).padStart(10),
          `${duration(Date.now() - status.updatedAt.getTime())} ago`.padStart(10),
          `in ${duration(status.ttlMs)}`.padStart(10),
        ]
        out.line(`${stateCell(out, status.state)} ${cells.join('  ')}  ${printable(status.streamId)}`)
      }
      if (++listed >= limit) break
    }
    out.clear()
    if (listed === 0 && !out.json) out.note('No streams.')
    return EXIT.ok
  },
}
