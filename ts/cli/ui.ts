import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { webHandler } from '../http/asked'
import { toNodeListener } from '../http/node-listener'
import { openInspector } from '../inspector/handler'
import { guarded, TOKEN } from '../inspector/token'
import { type Command, EXIT, text, UsageError } from './command'
import { listen, originOf, portOf } from './listening'

const FIRST_PORT = 4270
const FIRST_PORTS = Array.from({ length: 10 }, (_, index) => FIRST_PORT + index)

export const ui: Command = {
  summary: 'Serve a web page that shows all streams, live.',
  args: '',
  arity: [0, 0],
  options: {
    port: { type: 'string', value: 'number', help: `default: the first free one from ${FIRST_PORT}` },
    host: {
      type: 'string',
      value: 'address',
      help: 'where it listens; default 127.0.0.1, this machine alone',
    },
    write: { type: 'boolean', help: 'streams can be stopped and deleted there, dead letters dealt with' },
    'show-data': { type: 'boolean', help: 'what the chunks say is shown, not their sizes alone' },
    token: {
      type: 'string',
      value: 'text',
      help: 'who has it may look; default: a new one; or TIDEMARK_UI_TOKEN',
    },
  },
  details: `Prints an address that has the token in it; open that. Whoever opens it sees all streams under the prefix, whoever
owns them. Ctrl-C ends it. On another address than this machine's, put TLS in front of it.`,
  async run({ engine, values, out, address, signal }) {
    const token =
      text(values, 'token') ?? (process.env.TIDEMARK_UI_TOKEN || randomBytes(24).toString('base64url'))
    if (!TOKEN.test(token)) throw new UsageError('--token takes 16 to 128 letters, digits, - and _')
    const [host, write, showData] = [
      text(values, 'host') ?? '127.0.0.1',
      values.write === true,
      values['show-data'] === true,
    ]
    await engine.connect()
    const inspect = openInspector(
      { engine, authorize: () => true, write, showData, onError: (error) => out.note(String(error)) },
      true,
    )
    const server = createServer()
    const wanted = portOf(text(values, 'port'))
    const port = await listen(server, host, wanted === undefined ? FIRST_PORTS : [wanted])
    server.on('request', toNodeListener(webHandler(guarded(inspect, token, host, port))))
    const url = `${originOf(host, port)}/?token=${token}`
    if (out.json) out.value({ url, address, write, showData })
    else {
      out.line(url)
      const can = [
        write ? 'can change things' : 'read only (--write)',
        showData ? 'shows payloads' : 'no payloads (--show-data)',
      ]
      out.note(`The inspector of ${address}: ${can.join(', ')}. Ctrl-C ends it.`)
    }
    if (!signal.aborted) await once(signal, 'abort')
    server.close()
    server.closeAllConnections()
    return EXIT.interrupted
  },
}
