#!/usr/bin/env node
// Starts Firefox for Playwright, and stands between the two: an ESR release of Firefox does not know all commands of WebDriver BiDi that
// Playwright sends. Unknown ones are reported as done; none of them matters to the tests.

import { spawn } from 'node:child_process'
import { WebSocket, WebSocketServer } from 'ws'

const LISTENING = /WebDriver BiDi listening on (ws:\/\/\S+)/

const firefox = spawn(process.env.TIDEMARK_FIREFOX ?? 'firefox-esr', process.argv.slice(2), {
  stdio: ['ignore', 'inherit', 'pipe'],
})
firefox.once('exit', (code) => process.exit(code ?? 1))
for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT']))
  process.on(signal, () => firefox.kill(signal))
// Nobody is left who would end it.
process.on('exit', () => firefox.kill('SIGKILL'))

let isKnown = false
firefox.stderr.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
  const address = isKnown ? undefined : LISTENING.exec(text)?.[1]
  if (address === undefined) return void process.stderr.write(text)
  isKnown = true
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' }, () => {
    const { port } = /** @type {import('node:net').AddressInfo} */ (server.address())
    process.stderr.write(`WebDriver BiDi listening on ws://127.0.0.1:${port}\n`)
  })
  server.on('connection', (client, request) => relay(client, new WebSocket(`${address}${request.url}`)))
})

/** @param {WebSocket} client @param {WebSocket} upstream */
function relay(client, upstream) {
  const waiting = /** @type {string[]} */ ([])
  client.on('message', (data) => {
    if (upstream.readyState === WebSocket.OPEN) upstream.send(`${data}`)
    else waiting.push(`${data}`)
  })
  upstream.on('open', () => {
    for (const message of waiting.splice(0)) upstream.send(message)
  })
  upstream.on('message', (data) => {
    const message = JSON.parse(`${data}`)
    const isUnknown = message.type === 'error' && message.error === 'unknown command'
    client.send(isUnknown ? JSON.stringify({ type: 'success', id: message.id, result: {} }) : `${data}`)
  })
  const end = () => {
    client.close()
    upstream.close()
  }
  for (const socket of [client, upstream]) socket.on('close', end).on('error', end)
}
