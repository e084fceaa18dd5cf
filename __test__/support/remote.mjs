// The test's side of an engine in another process (children/remote.mjs).

import { startChild } from './child.mjs'

/** Milliseconds that can be compared with another process'. */
export const now = () => performance.timeOrigin + performance.now()

/**
 * Starts the process. It ends with the test.
 * @param {import('node:test').TestContext} t
 * @param {import('tidemark').EngineOptions} options of its engine
 */
export async function startRemote(t, options) {
  const child = startChild(new URL('../children/remote.mjs', import.meta.url), {
    env: { ENGINE: JSON.stringify(options) },
  })
  t.after(() => child.kill())
  await child.next('ready')
  return new Remote(child)
}

class Remote {
  /** @param {import('./child.mjs').Child} child */
  constructor(child) {
    this.child = child
  }

  /**
   * Gives a command (see the child's) and waits for the answer; throws its code when it was refused.
   * @param {string} type
   * @param {object} args
   */
  async ask(type, args) {
    this.child.send({ type, ...args })
    const answer = await this.child.next(type, 30_000)
    if (answer.refused) throw Object.assign(new Error(`${type}: ${answer.refused}`), { code: answer.refused })
    return answer
  }

  /** @param {NodeJS.Signals} [signal] */
  kill(signal = 'SIGKILL') {
    return this.child.kill(signal)
  }
}
