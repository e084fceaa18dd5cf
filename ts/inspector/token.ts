import { isIP } from 'node:net'
import type { Answer, Answerer, Asked } from '../http/asked'
import { isSecret } from '../util/secret'
import { answer, refused } from './responses'

/**
 * Lets in requests with the token: in the URL, which is then exchanged for a cookie; in this cookie; or in a header. The request's host
 * must be a name of this server: another name that resolves to it (DNS rebinding) is refused.
 */
export function guarded(inspect: Answerer, token: string, host: string, port: number): Answerer {
  // Cookies are shared by all ports of a host.
  const cookie = `tidemark_${port}`
  const isRight = (given: string | undefined): boolean => isSecret(given, token)
  return async (asked) => {
    const { method, url, headers } = asked
    if (!isOurName(headers.get('host'), host)) {
      return refused(403, 'ERR_FORBIDDEN', 'this server has another name: open it by its address')
    }
    const given = url.searchParams.get('token')
    if (given !== null && method === 'GET' && url.pathname === '/') {
      if (!isRight(given)) return stranger()
      // Keeps the token out of the address bar and the history.
      const value = `${cookie}=${token}; Path=/; HttpOnly; SameSite=Strict`
      return answer(null, 'text/plain', 303, { location: '/', 'set-cookie': value })
    }
    const [, bearer] = /^Bearer (.+)$/i.exec(headers.get('authorization') ?? '') ?? []
    if (!isRight(bearer) && !isRight(cookieOf(headers, cookie))) return stranger()
    if (url.pathname !== '/' && !/^\/(api|page)\/[^/]+$/.test(url.pathname)) {
      return refused(404, 'ERR_NOT_FOUND', 'there is no such page')
    }
    return inspect(asked)
  }
}

/** A token's characters: none needs escaping in a cookie or a URL. */
export const TOKEN = /^[\w-]{16,128}$/

/** Whether a host is an IP address, `localhost`, or the name that the server listens on. */
function isOurName(header: string | null, host: string): boolean {
  if (header === null || !URL.canParse(`http://${header}`)) return false
  const name = new URL(`http://${header}`).hostname.replace(/^\[(.*)\]$/, '$1')
  return name === 'localhost' || name === host || isIP(name) !== 0
}

function cookieOf(headers: Asked['headers'], name: string): string | undefined {
  const cookies = (headers.get('cookie') ?? '').split(/;\s*/)
  return cookies.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1)
}

function stranger(): Answer {
  const text = 'Tidemark inspector: open the address, with its token, that tidemark ui has printed.\n'
  return answer(text, 'text/plain; charset=utf-8', 401)
}
