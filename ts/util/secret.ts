import { createHash, timingSafeEqual } from 'node:crypto'

/** Whether it is the secret; how long that takes tells nothing of it, its length included. */
export function isSecret(given: string | null | undefined, secret: string): boolean {
  return given != null && timingSafeEqual(digest(given), digest(secret))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
