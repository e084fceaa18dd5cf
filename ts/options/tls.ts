import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { types } from 'node:util'
import type { TlsOptions } from '../../index'
import { invalidArgument } from '../errors/errors'
import { warnOnce } from '../errors/warnings'
import { flag, object, refuse, text } from './checks'

/** `Tls` of `src/config.rs`. */
export interface Tls {
  ca: string[]
  wellKnown: boolean
  system: boolean
  insecure: boolean
  cert: string | null
  key: string | null
  serverName: string | null
}

const MIB = 1 << 20
/** Also those that OpenSSL names in its own ways. */
const CERTIFICATE =
  /-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[\s\S]*?-----END (?:X509 |TRUSTED )?CERTIFICATE-----/g

/** The option `tls`. */
export const checkTls = object({
  ca: authorities,
  cert: pem,
  key: pem,
  passphrase: text(0, 1024),
  servername: text(1, 253),
  rejectUnauthorized: flag,
})

/** These options in the engine's form; `address` is the server, for error messages. */
export function tlsConfig(options: TlsOptions, field: string, address: string): Tls {
  const { ca, cert, key, servername = null, rejectUnauthorized = true } = options
  if ((cert === undefined) !== (key === undefined)) {
    throw invalidArgument(`${field}.${cert === undefined ? 'cert' : 'key'}`, 'is needed, too')
  }
  if (!rejectUnauthorized) {
    warnOnce(
      'TIDEMARK_TLS',
      `${field}.rejectUnauthorized is false: whoever gets between this process and ${address} can read and change ` +
        `everything, passwords included. Give the server's certificate, or its authority's, as ${field}.ca instead`,
    )
  }
  const given = ca === undefined ? [] : [ca].flat()
  const isSystem = given.includes('system')
  const own = given.filter((each) => each !== 'system')
  // As in Node.js: the environment's authorities are added only to default lists, not to ones given explicitly.
  const extra = given.length === 0 || isSystem ? extraAuthorities() : []
  const identity = cert === undefined || key === undefined ? undefined : identified(options, field)
  return {
    ca: [...own.flatMap((each) => certificates(each, `${field}.ca`)), ...extra],
    wellKnown: given.length === 0,
    system: isSystem,
    insecure: !rejectUnauthorized,
    cert: identity?.cert ?? null,
    key: identity?.key ?? null,
    serverName: servername,
  }
}

/** The certificates of a file that the environment names, as Node.js itself adds them. */
function extraAuthorities(): string[] {
  const file = process.env.NODE_EXTRA_CA_CERTS
  if (!file) return []
  try {
    return certificates(readFileSync(file), 'NODE_EXTRA_CA_CERTS')
  } catch {
    // Node.js has warned of this at its start.
    return []
  }
}

/** The client's certificate and its key, which is decrypted here. */
function identified(options: TlsOptions, field: string): { cert: string; key: string } {
  const chain = certificates(options.cert as Pem, `${field}.cert`)
  const key = privateKey(options, `${field}.key`)
  if (!new X509Certificate(chain[0] as string).checkPrivateKey(key)) {
    throw invalidArgument(`${field}.key`, `does not belong to ${field}.cert`)
  }
  return { cert: chain.join(''), key: key.export({ type: 'pkcs8', format: 'pem' }) as string }
}

function privateKey({ key, passphrase }: TlsOptions, field: string): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(key as Pem), format: 'pem', passphrase })
  } catch {
    // The cause could mention the passphrase or quote the key.
    throw invalidArgument(field, 'must be a private key in PEM format, with its passphrase if it has one')
  }
}

/** The certificates in a text, each as PEM without the text around it. */
function certificates(given: Pem, field: string): string[] {
  const found =
    Buffer.from(given as string)
      .toString('latin1')
      .match(CERTIFICATE) ?? []
  try {
    if (found.length > 0) return found.map((each) => new X509Certificate(each).toString())
  } catch {
    // Reported below, together with what is accepted.
  }
  throw invalidArgument(field, 'must be certificates in PEM format')
}

type Pem = string | Uint8Array

function pem(value: unknown, field: string): Pem {
  if (types.isUint8Array(value))
    return value.byteLength > 0 && value.byteLength <= MIB ? value : tooLong(field)
  if (typeof value === 'string') return text(1, MIB)(value, field)
  return refuse(field, 'text or a Buffer', value)
}

function tooLong(field: string): never {
  throw invalidArgument(field, `must be 1 to ${MIB} bytes`)
}

function authorities(value: unknown, field: string): Pem | Pem[] {
  if (!Array.isArray(value)) return pem(value, field)
  if (value.length === 0) return refuse(field, "'system', certificates, or a list of them", value)
  for (const [index, each] of value.entries()) pem(each, `${field}[${index}]`)
  return value
}
