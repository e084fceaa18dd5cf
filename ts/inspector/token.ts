import { isIP } from 'node:net'
import { isSecret } from '../util/secret'
import type { Inspector } from './handler'
import { answer, refused } from './responses'

/**
 * Lets in who has the token: in the address once, for which the browser is given a cookie, and as a cookie or a header from then on.
 * Asks for a name that is this server's, so that nobody else's name that leads here (DNS rebinding) is of use.
 */
export function guarded(inspect: Inspector, token: string, host: string, port: number): Inspector {
  // Cookies know no ports.
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
      // The address that stays in the browser's bar and history has no secret in it.
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

/** What a token is made of: nothing that a cookie or an address would have to escape. */
export const TOKEN = /^[\w-]{16,128}$/

/** An address, which no foreign name is, `localhost`, or what the server was told to listen on. */
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
