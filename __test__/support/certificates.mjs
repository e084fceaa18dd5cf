// Certificate authorities of the test's own, by the openssl program.

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { reapFolder } from './reaper.mjs'

const run = promisify(execFile)
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
const DAYS = ['-days', '2']

/** A certificate and its key: files, and the certificate as PEM. @typedef {{ cert: string, key: string, pem: string }} Pair */

/**
 * An authority, and what it has signed. The files go with `close()`, or with the test's process. The server's certificate
 * is for 127.0.0.1.
 */
export async function certify() {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-certificates-'))
  reapFolder(folder)
  const file = (/** @type {string} */ name) => join(folder, name)
  const openssl = (/** @type {string[]} */ ...args) => run('openssl', args, { cwd: folder })
  const pair = async (/** @type {string} */ name) => ({
    cert: file(`${name}.pem`),
    key: file(`${name}.key`),
    pem: await readFile(file(`${name}.pem`), 'utf8'),
  })

  /**
   * A certificate that has signed itself.
   * @param {string} name
   * @param {string} subject
   * @param {string[]} [extensions]
   */
  const selfSigned = async (name, subject, extensions = []) => {
    const more = extensions.flatMap((extension) => ['-addext', extension])
    const out = ['-keyout', `${name}.key`, '-out', `${name}.pem`]
    await openssl('req', '-x509', ...KEY, ...out, '-subj', subject, ...more, ...DAYS)
    return pair(name)
  }

  /**
   * A certificate that the authority has signed; of X.509's first version when it has no extensions.
   * @param {string} name
   * @param {string} subject
   * @param {string[]} [extensions]
   */
  const signed = async (name, subject, extensions = []) => {
    await openssl('req', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject)
    await writeFile(file(`${name}.extensions`), extensions.map((line) => `${line}\n`).join(''))
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', ...DAYS]
    const more = extensions.length > 0 ? ['-extfile', `${name}.extensions`] : []
    await openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...by, ...more)
    return pair(name)
  }

  /** One that has signed itself, for a day long ago. @param {string} name @param {string} subject */
  const expired = async (name, subject) => {
    await openssl('req', '-new', ...KEY, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject)
    const ca = ['[ca]', 'default_ca = own', '[own]', 'new_certs_dir = .', 'database = index', 'policy = any']
    const rest = ['rand_serial = yes', 'default_md = sha256', '[any]', 'commonName = supplied']
    await writeFile(file('ca.conf'), [...ca, ...rest].map((line) => `${line}\n`).join(''))
    await writeFile(file('index'), '')
    const then = ['-startdate', '20200101000000Z', '-enddate', '20200102000000Z']
    const files = ['-keyfile', `${name}.key`, '-in', `${name}.csr`, '-out', `${name}.pem`, '-notext']
    await openssl('ca', '-config', 'ca.conf', '-batch', '-selfsign', ...files, ...then)
    return pair(name)
  }

  await selfSigned('ca', '/CN=test authority')
  const server = await signed('server', '/CN=test server', ['subjectAltName=IP:127.0.0.1'])
  return {
    /** The authority's certificate, as PEM. */
    ca: await readFile(file('ca.pem'), 'utf8'),
    /** Settings that make a running redis-server use the server's. */
    settings: ['tls-cert-file', server.cert, 'tls-key-file', server.key],
    /** … and as a file. */
    caFile: file('ca.pem'),
    /** Arguments that make redis-server use the server's. */
    args: argsOf(server),
    selfSigned,
    signed,
    expired,
    /** A key, encrypted with a passphrase. @param {Pair} pair @param {string} passphrase */
    encrypted: async ({ key }, passphrase) => {
      await openssl('pkcs8', '-topk8', '-in', key, '-out', 'encrypted.key', '-passout', `pass:${passphrase}`)
      return readFile(file('encrypted.key'), 'utf8')
    },
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Arguments that make redis-server show a certificate. @param {Pair} pair */
export function argsOf({ cert, key }) {
  return ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-auth-clients', 'no']
}
