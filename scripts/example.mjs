// `npm run example`: builds `examples/next-chat` with what a release would publish, and serves it on PORT (3000). With
// REDIS_URL two servers share the chats behind a round-robin proxy.

import { spawn } from 'node:child_process'
import { startProxy } from '../examples/next-chat/proxy.mjs'
import { nextServer, prepareNextChat } from './next-chat.mjs'
import { runMain } from './setup.mjs'
import { say } from './steps.mjs'

await runMain(async () => {
  await prepareNextChat()
  const port = Number(process.env.PORT ?? 3000)
  const ports = process.env.REDIS_URL ? [port + 1, port + 2] : [port]
  const servers = ports.map((each) => {
    const { program, args, cwd } = nextServer(each)
    const server = spawn(program, args, { cwd, stdio: 'inherit' })
    server.on('exit', () => say(`the server on port ${each} has ended`))
    return server
  })
  if (ports.length > 1) {
    await startProxy(ports, port)
    for (const [index, { pid }] of servers.entries()) say(`server on port ${ports[index]}: kill -9 ${pid}`)
  }
  say(`http://127.0.0.1:${port}`)
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.on(signal, () => {
      for (const server of servers) server.kill(signal)
      process.exit(0)
    })
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.on('exit', resolve))))
  return 0
})
