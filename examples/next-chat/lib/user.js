// Who is asking: a cookie that anybody can set. Yours is a session.

/** @param {string | null | undefined} cookies of the request */
export const userOf = (cookies) => /(?:^|;\s*)user=(\w+)/.exec(cookies ?? '')?.[1] ?? 'ann'
