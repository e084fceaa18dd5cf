// The page's requests to its server.

/** Requests go to paths below this. The `base` element is removed, because it would make links that begin with # leave the page. */
const BASE = document.baseURI
for (const icon of document.querySelectorAll('link[rel="icon"]'))
  icon.setAttribute('href', /** @type {HTMLLinkElement} */ (icon).href)
document.querySelector('base')?.remove()

/** A refusal by the server, or a missing answer. */
export class Refusal extends Error {
  /** @param {number} status 0: there was no answer @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** @typedef {import('../answers').Answers} Answers */

/**
 * @template {keyof Answers} Name
 * @param {Name} name @param {Record<string, string | number | undefined>} [query]
 * @returns {Promise<Answers[Name]>}
 */
export function get(name, query) {
  return ask(address(name, query))
}

/**
 * @template {keyof Answers} Name
 * @param {Name} name @param {object} body
 * @returns {Promise<Answers[Name]>}
 */
export function post(name, body) {
  return ask(address(name), {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-tidemark-inspector': '1' },
    body: JSON.stringify(body),
  })
}

/** @param {string} name @param {Record<string, string | number | undefined>} [query] */
export function address(name, query = {}) {
  const url = new URL(`api/${name}`, BASE)
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') url.searchParams.set(key, String(value))
  }
  return url
}

/** @param {string | URL} url @param {RequestInit} [options] */
async function ask(url, options) {
  let response
  try {
    response = await fetch(url, { ...options, credentials: 'same-origin' })
  } catch (error) {
    if (/** @type {Error} */ (error).name === 'AbortError') throw error
    throw new Refusal(0, 'ERR_CONNECTION', 'the inspector does not answer')
  }
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  const body = isJson ? await response.json() : { code: 'ERR_INTERNAL', message: await response.text() }
  if (!response.ok) throw new Refusal(response.status, body.code, body.message)
  return body
}
