// Signing: webhooks with the server's Ed25519 keys, the tokens of wakes with each subscription's own secret.

import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { invalidArgument } from '../../errors/errors'
import { isSecret } from '../../util/secret'

/** The key that signs, and all public ones. */
export interface SigningKeys {
  /** The name of the key that signs. */
  id: string
  /** What `jwks.json` is to show. */
  jwks: string
  /** The header for a body. */
  signature(body: string, seconds: number): string
}

/** Private keys in PEM (PKCS 8); the first one signs, the others are shown while something that they have signed is under way. */
export function signingKeys(pems: readonly string[], field: string): SigningKeys {
  const keys = pems.map((pem) => privateKey(pem, field))
  const shown = keys.map((key) => {
    const { x } = createPublicKey(key).export({ format: 'jwk' })
    const kid = `ds_${createHash('sha256')
      .update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x }))
      .digest('base64url')}`
    return { kty: 'OKP', crv: 'Ed25519', x, kid, use: 'sig', alg: 'EdDSA' }
  })
  const [first] = keys
  const id = shown[0]?.kid
  if (first === undefined || id === undefined) throw invalidArgument(field, 'must have a key')
  return {
    id,
    jwks: JSON.stringify({ keys: shown }),
    signature(body, seconds) {
      const signed = sign(null, Buffer.from(`${seconds}.${body}`), first).toString('base64url')
      return `t=${seconds},kid=${id},ed25519=${signed}`
    },
  }
}

function privateKey(pem: string, field: string): KeyObject {
  let key: KeyObject | undefined
  try {
    key = createPrivateKey(pem)
  } catch {
    // The error's text may have parts of the key.
  }
  if (key?.asymmetricKeyType !== 'ed25519') {
    throw invalidArgument(field, 'must be Ed25519 private keys in PEM (openssl genpkey -algorithm ed25519)')
  }
  return key
}

/** A text that cannot be guessed. */
export function secret(): string {
  return randomBytes(24).toString('base64url')
}

export function newWakeId(): string {
  return `w_${randomBytes(12).toString('hex')}`
}

/** The token of a wake. It needs no time of its own: it is of no use once the wake is over. */
export function tokenOf(subscription: { instance: string; secret: string }, generation: number): string {
  const payload = Buffer.from(JSON.stringify({ sub: subscription.instance, generation })).toString(
    'base64url',
  )
  return `${payload}.${createHmac('sha256', subscription.secret).update(payload).digest('base64url')}`
}

/** The generation of a subscription's token; undefined if it is none. */
export function generationOfToken(
  token: string,
  subscription: { instance: string; secret: string },
): number | undefined {
  const payload = token.split('.', 1)[0] ?? ''
  const expected = createHmac('sha256', subscription.secret).update(payload).digest('base64url')
  if (!isSecret(token, `${payload}.${expected}`)) return undefined
  const { sub, generation } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {
    sub: string
    generation: number
  }
  return sub === subscription.instance ? generation : undefined
}
