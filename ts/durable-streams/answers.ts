// Answers of the Durable Streams protocol.

import type { Answer } from '../http/asked'

const EXPOSED = [
  'ETag',
  'Location',
  'Retry-After',
  'Stream-Next-Offset',
  'Stream-Cursor',
  'Stream-Up-To-Date',
  'Stream-Closed',
  'Stream-TTL',
  'Stream-Expires-At',
  'Stream-SSE-Data-Encoding',
  'Stream-Outcome',
  'Stream-Stop',
  'Producer-Epoch',
  'Producer-Seq',
  'Producer-Expected-Seq',
  'Producer-Received-Seq',
].join(', ')

type Fields = Record<string, string | undefined>

/** A refusal: the answer's status, the code and message of its body, and its headers. */
export class Refusal extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Fields

  constructor(status: number, code: string, message: string, headers: Fields = {}) {
    super(message)
    this.status = status
    this.code = code
    this.headers = headers
  }
}

/** An answer with the headers that all answers have. */
export function answer(status: number, fields: Fields = {}, body: Answer['body'] = null): Answer {
  const headers: Record<string, string> = {
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'cross-origin',
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Expose-Headers': EXPOSED,
  }
  for (const name in fields) {
    const value = fields[name]
    if (value !== undefined) headers[name] = value
  }
  return { status, headers, body }
}

export function refusal({ status, code, message, headers }: Refusal): Answer {
  const fields = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers }
  return answer(status, fields, JSON.stringify({ code, message }))
}

export function preflight(): Answer {
  return answer(204, {
    'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT, DELETE, OPTIONS',
    'Access-Control-Allow-Headers':
      'Authorization, Content-Type, If-None-Match, Last-Event-ID, Producer-Epoch, Producer-Id, Producer-Seq, Stream-Closed, Stream-Expires-At, Stream-Fork-Offset, Stream-Fork-Sub-Offset, Stream-Forked-From, Stream-Seq, Stream-TTL',
    'Access-Control-Max-Age': '86400',
  })
}
