// The servers of examples/, as programs of their own.

import { startChild } from './child.mjs'
import { freePort } from './free-port.mjs'
import { until } from './wait.mjs'

/**
 * Starts a server until the test is over; on memory, unless `env` says otherwise.
 * @param {import('node:test').TestContext} t
 * @param {string} name of its file in examples/
 * @param {Record<string, string>} [env]
 */
export async function startExample(t, name, env = {}) {
  const port = await freePort()
  const script = new URL(`../../examples/${name}.mjs`, import.meta.url)
  const none = { TIDEMARK_URL: '', REDIS_URL: '', KV_URL: '' }
  const child = startChild(script, { env: { ...none, PORT: String(port), PACE_MS: '25', ...env } })
  t.after(() => child.kill())
  await until(() => child.output.includes('listening'), { message: () => child.output })
  return { address: `http://127.0.0.1:${port}`, child }
}
