// `npm run example`: builds `examples/next-chat` with what a release would publish, and serves it on PORT (3000). With
// REDIS_URL two servers share the chats behind a round-robin proxy.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { startProxy } from '../examples/next-chat/proxy.mjs'
import { nextServer, prepareNextChat } from './next-chat.mjs'
import { runMain } from './setup.mjs'
import { SetupError, say } from './steps.mjs'

const HOST = '127.0.0.1'

await runMain(async () => {
  const port = Number(process.env.PORT || 3000)
  if (!Number.isInteger(port) || port < 1 || port > 65_533)
    throw new SetupError(`PORT takes a number from 1 to 65533, not '${process.env.PORT}'`)
  const ports = process.env.REDIS_URL ? [port + 1, port + 2] : [port]
  // Before minutes of building; the servers check again when they listen.
  for (const each of new Set([port, ...ports])) await needFree(each)
  await prepareNextChat()

  const servers = ports.map(start)
  const ended = Promise.all(servers.map(({ exit }) => exit))
  const end = (/** @type {NodeJS.Signals} */ signal) => {
    for (const { child } of servers) child.kill(signal)
  }
  process.on('exit', () => end('SIGKILL'))
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      end(signal)
      process.exit(0)
    })
  }
  await Promise.all(servers.map(isUp))
  if (ports.length > 1) {
    await startProxy(ports, port).catch((error) => {
      throw error.code === 'EADDRINUSE' ? inUse(port) : error
    })
    for (const { port: own, child } of servers) say(`server on port ${own}: kill -9 ${child.pid}`)
  }
  for (const { port: own, exit } of servers) exit.then(() => say(`the server on port ${own} has ended`))
  say(`\nThe chat is at http://${HOST}:${port}`)
  await ended
  // All servers have ended: the proxy is useless.
  process.exit(1)
})

/** @param {number} port */
function start(port) {
  const { program, args, cwd } = nextServer(port)
  const child = spawn(program, args, { cwd, stdio: 'inherit' })
  /** @type {Promise<unknown>} */
  const exit = once(child, 'exit')
  return { port, child, exit }
}

/** Resolves when the server answers. @param {ReturnType<typeof start>} server */
async function isUp({ port, exit }) {
  const gone = exit.then(() => {
    throw new SetupError(`the server on port ${port} ended before it answered`)
  })
  gone.catch(() => {})
  for (;;) {
    const asked = fetch(`http://${HOST}:${port}/api/chats`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (await Promise.race([asked, gone])) return
    await Promise.race([sleep(100), gone])
  }
}

/** @param {number} port */
async function needFree(port) {
  const probe = createServer().listen(port, HOST)
  try {
    await once(probe, 'listening')
  } catch (error) {
    throw /** @type {NodeJS.ErrnoException} */ (error).code === 'EADDRINUSE' ? inUse(port) : error
  } finally {
    probe.close()
  }
}

/** @param {number} port */
function inUse(port) {
  return new SetupError(`port ${port} is in use; give another one as PORT`)
}
