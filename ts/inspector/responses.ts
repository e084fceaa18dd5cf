import type { Answer } from '../http/asked'

/** Allows the page its own files and requests to its own server, and nothing else; no site may frame it. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Headers of every response. */
const HEADERS = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
} as const

export function answer(
  body: Answer['body'],
  type: string,
  status = 200,
  more: Record<string, string> = {},
): Answer {
  return { status, headers: { ...HEADERS, 'content-type': type, ...more }, body }
}

export function json(value: unknown, status = 200, more?: Record<string, string>): Answer {
  return answer(JSON.stringify(value), 'application/json', status, more)
}

/** A refusal: `code` is for programs, `message` for people. */
export function refused(
  status: number,
  code: string,
  message: string,
  more?: Record<string, string>,
): Answer {
  return json({ code, message }, status, more)
}
