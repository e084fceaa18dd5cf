import { createHash, timingSafeEqual } from 'node:crypto'

/** Whether a text is the secret, in constant time: the duration reveals neither the secret nor its length. */
export function isSecret(given: string | null | undefined, secret: string): boolean {
  return given != null && timingSafeEqual(digest(given), digest(secret))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
