// Who is asking: a cookie that anybody can set. Yours is a session.

export const userOf = (cookies: string | null) => /(?:^|;\s*)user=(\w+)/.exec(cookies ?? '')?.[1] ?? 'ann'
