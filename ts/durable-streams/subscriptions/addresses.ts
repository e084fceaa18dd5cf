// Where webhooks may go: not to this machine, nor to its neighbours.

import { BlockList, isIP } from 'node:net'

/** What is not part of the public internet, by the registries of special addresses of IANA. */
const CLOSED_4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
]
/** Of what is public by its first bits: protocols, documentation, and what leads to an address of version 4. */
const CLOSED_6 = ['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20']

const closed = new BlockList()
for (const net of CLOSED_4) closed.addSubnet(...split(net), 'ipv4')
for (const net of CLOSED_6) closed.addSubnet(...split(net), 'ipv6')
const global = new BlockList()
global.addSubnet('2000::', 3, 'ipv6')

function split(net: string): [string, number] {
  const [address = '', bits] = net.split('/')
  return [address, Number(bits)]
}

/** Whether an IP address is one of the public internet. */
export function isPublic(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !closed.check(address, 'ipv4')
    case 6:
      return global.check(address, 'ipv6') && !closed.check(address, 'ipv6')
    default:
      return false
  }
}

export function isLoopback(address: string): boolean {
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'))
}

/** Names that lead to this machine, or that only its neighbours know. */
const LOCAL_NAME = /^localhost$|\.(localhost|local|internal|intranet|home|lan|corp|home\.arpa)$|^[^.]*$/

/** Why a webhook may not have this URL; undefined if it may. `allowLocalhost`: plain HTTP to this machine is allowed. */
export function refusedUrl(text: string, allowLocalhost: boolean): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || text.length > 2048) return 'webhook.url is not a URL of at most 2048 characters'
  if (url.username !== '' || url.password !== '') return 'webhook.url must not have a user or password'
  const host = hostOf(url)
  if (isLocalTarget(url)) {
    return allowLocalhost ? undefined : 'webhook.url must use https, and lead to a public address'
  }
  if (url.protocol !== 'https:') return 'webhook.url must use https'
  const isBad = isIP(host) === 0 ? LOCAL_NAME.test(host) : !isPublic(host)
  return isBad ? 'webhook.url must lead to a public address' : undefined
}

/** Whether it is plain HTTP to this machine, for development. */
export function isLocalTarget(url: URL): boolean {
  const host = hostOf(url)
  return url.protocol === 'http:' && (host === 'localhost' || isLoopback(host))
}

export function hostOf({ hostname }: URL): string {
  return hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase()
}
