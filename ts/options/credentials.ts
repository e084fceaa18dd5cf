import { threadId } from 'node:worker_threads'
import type { Credentials } from '../../index'

/** Called for user and password at every connection. */
export type Provider = () => Credentials | Promise<Credentials>

const MAX_LENGTH = 64 * 1024
const numbers = new WeakMap<Provider, number>()
let last = 0

/** The same number for the same function: engines with the same function share connections. */
export function numberOf(provider: Provider): number {
  const number = numbers.get(provider) ?? threadId * 2 ** 32 + ++last
  numbers.set(provider, number)
  return number
}

/** The function's result, or why there is none. Its error may contain a secret, so only its kind is shown. */
export async function ask(provider: Provider): Promise<{ given?: Credentials; failure?: string }> {
  let given: Partial<Credentials> | null | undefined
  try {
    given = await provider()
  } catch (error) {
    return { failure: `the function for the credentials has failed: ${kind(error)}` }
  }
  const { username, password } = given ?? {}
  if (!isText(password)) return { failure: 'the function for the credentials has given no password' }
  if (username !== undefined && username !== null && !isText(username)) {
    return { failure: 'the function for the credentials has given a user name that is no text' }
  }
  return { given: username ? { username, password } : { password } }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MAX_LENGTH && value.isWellFormed()
}

function kind(error: unknown): string {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown }
  const word = (value: unknown) => typeof value === 'string' && /^[\w-]{1,40}$/.test(value)
  return `${word(name) ? name : 'an exception'}${word(code) ? ` (${code})` : ''}`
}
