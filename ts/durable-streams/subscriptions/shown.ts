// Subscriptions as others see them.

import type { SigningKeys } from './keys'
import type { Subscription } from './state'

/** The streams, as wakes and claims name them. What is not in the wake has no work in it. */
export function streamsOf({ links }: Subscription): object[] {
  return links.map(({ path, isExplicit, acked, tail }) => ({
    path,
    link_type: isExplicit ? 'explicit' : 'glob',
    acked_offset: acked,
    tail_offset: tail ?? acked,
    has_pending: tail !== undefined,
  }))
}

/** The URL of a subscription, or of something that is done with it. */
export function urlOf({ base, id }: Subscription, action: string): string {
  return `${base}__ds/subscriptions/${encodeURIComponent(id)}/${action}`
}

export function shown(subscription: Subscription, keys: SigningKeys | undefined): object {
  const { id, base, config, createdAt, failures, links } = subscription
  const signing = keys && { alg: 'ed25519', kid: keys.id, jwks_url: `${base}__ds/jwks.json` }
  return {
    id,
    subscription_id: id,
    type: config.type,
    pattern: config.pattern,
    streams: links.map(({ path, isExplicit, acked }) => ({
      path,
      link_type: isExplicit ? 'explicit' : 'glob',
      acked_offset: acked,
    })),
    webhook: config.url === null ? null : { url: config.url, signing },
    wake_stream: config.wakeStream,
    lease_ttl_ms: config.leaseMs,
    created_at: new Date(createdAt).toISOString(),
    status: failures === 0 ? 'active' : 'failed',
    description: config.description,
  }
}
