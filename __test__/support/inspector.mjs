// The inspector, asked over HTTP as its page does.

import assert from 'node:assert/strict'

/**
 * Asks an inspector that is mounted below `/admin/inspect`.
 * @param {(request: Request) => Promise<Response>} inspect
 */
export function asker(inspect) {
  const url = (/** @type {string} */ path) => `http://app.example/admin/inspect${path}`
  return {
    /** @param {string} path @param {RequestInit} [init] */
    raw: (path, init) => inspect(new Request(url(path), init)),
    /** @param {string} path @returns {Promise<any>} */
    async get(path) {
      const response = await inspect(new Request(url(path)))
      return { status: response.status, .../** @type {any} */ (await response.json()) }
    },
    /** @param {string} name @param {object} body @param {Record<string, string>} [headers] @returns {Promise<any>} */
    async post(name, body, headers) {
      const request = new Request(url(`/api/${name}`), {
        method: 'POST',
        headers: headers ?? { 'content-type': 'application/json', 'x-tidemark-inspector': '1' },
        body: JSON.stringify(body),
      })
      const response = await inspect(request)
      return { status: response.status, .../** @type {any} */ (await response.json()) }
    },
    /** The events of a stream that has ended. @param {string} query @returns {Promise<{ event: string, data: any }[]>} */
    async play(query) {
      const response = await inspect(new Request(url(`/api/play?${query}`)))
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('content-type'), 'text/event-stream')
      return eventsOf(await response.text())
    },
  }
}

/**
 * An engine whose looks at all of its streams end when `ends` lets them.
 * @param {import('tidemark').Engine} engine @param {() => unknown} ends
 */
export function surveyed(engine, ends) {
  return new Proxy(engine, {
    get(target, name) {
      const value = /** @type {any} */ (target)[name]
      if (typeof value !== 'function') return value
      if (name !== 'glances') return value.bind(target)
      return async function* (/** @type {unknown[]} */ ...given) {
        yield* value.apply(target, given)
        await ends()
      }
    },
  })
}

/** @param {string} text */
function eventsOf(text) {
  return text
    .split('\n\n')
    .filter((part) => part.startsWith('event:'))
    .map((part) => ({
      event: /^event: (.*)$/m.exec(part)?.[1] ?? '',
      data: JSON.parse(/^data: (.*)$/m.exec(part)?.[1] ?? 'null'),
    }))
}

/** What every response has, refusals too. @param {Response} response */
export function checkHeaders(response) {
  const { headers } = response
  assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'.*script-src 'self'/)
  assert.doesNotMatch(headers.get('content-security-policy') ?? '', /unsafe|\*/)
  assert.match(headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/)
  assert.equal(headers.get('x-content-type-options'), 'nosniff')
  assert.equal(headers.get('cache-control'), 'no-store')
  assert.equal(headers.get('referrer-policy'), 'no-referrer')
  assert.equal(headers.get('access-control-allow-origin'), null)
}
