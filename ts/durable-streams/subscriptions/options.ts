import { invalidArgument } from '../../errors/errors'
import { type Check, flag, listOf, object, refuse } from '../../options/checks'
import { signingKeys } from './keys'

export interface SubscriptionOptions {
  /**
   * Ed25519 private keys in PEM (PKCS 8), which sign webhooks; without them there are none, but pull-wake. The first one signs, and
   * `jwks.json` shows the public keys of all: keep an old key for five minutes after another one has taken its place.
   */
  keys?: string | readonly string[] | undefined
  /** Allows webhooks to `http://localhost` and `http://127.0.0.x`, for development. Default false. */
  allowLocalhost?: boolean | undefined
  /** The origin of the streams' URLs as workers see it, such as `'https://chat.example'`. Default: the origin of the request that subscribes. */
  origin?: string | undefined
}

const subscriptionOptions = object({
  keys: (value, field) => signingKeys(listOf(pem)(Array.isArray(value) ? value : [value], field), field),
  allowLocalhost: flag,
  origin: (value, field) => {
    const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
    return url !== undefined && /^https?:$/.test(url.protocol) && url.origin === value
      ? url.origin
      : refuse(field, "an origin such as 'https://chat.example'", value)
  },
})

/** Its text is a secret, and not shown. */
const pem: Check<string> = (value, field) => {
  if (typeof value === 'string') return value
  throw invalidArgument(field, 'must be a private key in PEM')
}

/** Checks them. */
export function controlOptions(given: unknown, field: string) {
  const { keys, allowLocalhost = false, origin } = subscriptionOptions(given, field)
  return { keys, allowLocalhost, origin }
}
