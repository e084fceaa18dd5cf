import { isIP } from 'node:net'
import { isSecret } from '../util/secret'
import type { Inspector } from './handler'
import { answer, refused } from './responses'

/**
 * Lets in requests with the token: in the URL, which is then exchanged for a cookie; in this cookie; or in a header. The request's host
 * must be a name of this server: another name that resolves to it (DNS rebinding) is refused.
 */
export function guarded(inspect: Inspector, token: string, host: string, port: number): Inspector {
  // Cookies are shared by all ports of a host.
  const cookie = `tidemark_${port}`
  const isRight = (given: string | undefined): boolean => isSecret(given, token)
  return async (request) => {
    const url = new URL(request.url)
    if (!isOurName(request.headers.get('host'), host)) {
      return refused(403, 'ERR_FORBIDDEN', 'this server has another name: open it by its address')
    }
    const asked = url.searchParams.get('token')
    if (asked !== null && request.method === 'GET' && url.pathname === '/') {
      if (!isRight(asked)) return stranger()
      // Keeps the token out of the address bar and the history.
      const value = `${cookie}=${token}; Path=/; HttpOnly; SameSite=Strict`
      return answer(null, 'text/plain', 303, { location: '/', 'set-cookie': value })
    }
    const [, bearer] = /^Bearer (.+)$/i.exec(request.headers.get('authorization') ?? '') ?? []
    if (!isRight(bearer) && !isRight(cookieOf(request, cookie))) return stranger()
    if (url.pathname !== '/' && !/^\/(api|page)\/[^/]+$/.test(url.pathname)) {
      return refused(404, 'ERR_NOT_FOUND', 'there is no such page')
    }
    return inspect(request)
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

function cookieOf(request: Request, name: string): string | undefined {
  const cookies = (request.headers.get('cookie') ?? '').split(/;\s*/)
  return cookies.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1)
}

function stranger(): Response {
  const text = 'Tidemark inspector: open the address, with its token, that tidemark ui has printed.\n'
  return answer(text, 'text/plain; charset=utf-8', 401)
}
