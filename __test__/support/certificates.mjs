// Certificate authorities of the test's own, by the openssl program.

import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { reapFolder } from './reaper.mjs'

const run = promisify(execFile)
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/**
 * An authority, and a server's certificate for 127.0.0.1 that it has signed. The files go with `close()`, or with the
 * test's process.
 */
export async function certify() {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-certificates-'))
  reapFolder(folder)
  const file = (/** @type {string} */ name) => join(folder, name)
  const openssl = (/** @type {string[]} */ ...args) => run('openssl', args, { cwd: folder })
  await openssl(
    'req',
    '-x509',
    ...KEY,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-subj',
    '/CN=test authority',
    '-days',
    '2',
  )
  await openssl('req', ...KEY, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=test server')
  await writeFile(file('extensions'), 'subjectAltName=IP:127.0.0.1\n')
  const signed = [
    '-CA',
    'ca.pem',
    '-CAkey',
    'ca.key',
    '-CAcreateserial',
    '-extfile',
    'extensions',
    '-days',
    '2',
  ]
  await openssl('x509', '-req', '-in', 'server.csr', '-out', 'server.pem', ...signed)
  return {
    /** The authority's certificate, as PEM. */
    ca: await readFile(file('ca.pem'), 'utf8'),
    /** Settings that make a running redis-server use the server's. */
    settings: ['tls-cert-file', file('server.pem'), 'tls-key-file', file('server.key')],
    /** Arguments that make redis-server use the server's. */
    args: [
      '--tls-cert-file',
      file('server.pem'),
      '--tls-key-file',
      file('server.key'),
      '--tls-auth-clients',
      'no',
    ],
    close: () => rm(folder, { recursive: true, force: true }),
  }
}
