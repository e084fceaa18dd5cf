/**
 * An option of every request for a stream, as `EventSource` has it: else a tab waits up to 20 s for the response that another tab has
 * to the same URL, in case it can be shared, even if that response is not to be stored (Firefox). Left out where requests do not have
 * it, because such a `fetch` may refuse it (older Cloudflare Workers).
 */
export function uncached(): { cache?: 'no-store' } {
  return typeof Request === 'function' && 'cache' in Request.prototype ? { cache: 'no-store' } : {}
}
