// `node scripts/errors.mjs` writes docs/errors.md: the causes of each code of the table in ts/errors/errors.ts, and what to do.
// A test fails when it has to be run again.

import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { isMain, root } from './steps.mjs'

/**
 * The documentation of a code: whether a retry may help (`sometimes`: it depends), and its causes, each with its cure.
 * @typedef {object} Entry
 * @property {string} what
 * @property {'yes' | 'no' | 'sometimes'} retryable
 * @property {[cause: string, cure: string][]} causes
 */

/** @type {Record<string, Entry>} */
const ENTRIES = {
  ERR_INVALID_ARGUMENT: {
    what: 'An argument is invalid; `field` names it. Nothing was done.',
    retryable: 'no',
    causes: [
      [
        'an unknown option, or a value of the wrong type or out of range',
        'the message says what is accepted; `index.d.ts` lists all options',
      ],
      [
        'an object was written',
        '`JSON.stringify` it, or define your events with [`tidemark/schema`](schema.md)',
      ],
      ['a `ttl` in seconds: `{ done: 3600 }`', "numbers are milliseconds: write `'3600s'` or `'1h'`"],
      [
        'a URL that begins with `https:`',
        'Upstash and others have an address for TCP too, which begins with `rediss:`',
      ],
      ['a cursor that was cut or changed on the way', 'pass it on unchanged, percent-encoded in a URL'],
      [
        'half a character at the end of an id, owner or reason',
        'cut text by characters: `text.toWellFormed()` shows where',
      ],
    ],
  },
  ERR_SCHEMA: {
    what: 'An event does not fit its schema; `issues` has every bad field, `path` the first. It was not written, or not yielded.',
    retryable: 'no',
    causes: [
      ['the event does not fit the schema of its own writer', 'the message names the field'],
      [
        'reader and writer have different versions of the schema',
        "deploy readers first, or read with `validate: 'drop'` or `'off'`",
      ],
    ],
  },
  ERR_CONNECTION: {
    what: 'The store cannot be reached. The message has the address, without user and password, and the reason.',
    retryable: 'sometimes',
    causes: [
      [
        'no server is listening: `Connection refused`',
        'start it, or correct host and port; `npx tidemark doctor` tries them',
      ],
      [
        'the server that answers is not Redis',
        'correct the port: another server listens there, for instance an HTTP server',
      ],
      ['the server closes the connection at once', 'if it expects TLS, begin the URL with `rediss:`'],
      ['the server does not answer to TLS', 'if it does not support TLS, begin the URL with `redis:`'],
      [
        '`UnknownIssuer`',
        'pass the authority that has signed its certificate, or a self-signed certificate itself, as `tls.ca`',
      ],
      [
        '`not valid for name`',
        'connect to a name that is in the certificate, or pass that name as `tls.servername`',
      ],
      [
        'the user name or the password was refused; never `retryable`',
        'correct them, percent-encoded in the URL, or use `credentials` for those that expire',
      ],
      [
        '`no database of the number …`; never `retryable`',
        'correct it at the end of the URL, or in `?db=`: a server has 16 databases unless configured otherwise, and a cluster has only 0',
      ],
      [
        '`NOAUTH`: the server needs a password; never `retryable`',
        'put it into the URL, `redis://:password@host`, or use `credentials`; for sentinels, `?sentinelPassword=`',
      ],
      ['the server is no sentinel, or has no cluster', 'begin the URL with `redis:` or `rediss:`'],
      [
        'Redis is away for a while',
        'nothing: the engine reconnects, live answers continue from memory, and `engine.state` shows it',
      ],
    ],
  },
  ERR_TIMEOUT: {
    what: 'There was no answer in time, although the store can be reached: else it is `ERR_CONNECTION`. The operation may have taken effect; a producer retries its writes without duplicating them.',
    retryable: 'yes',
    causes: [
      [
        'Redis is busy, or the network is slow',
        'look for slow commands of others (`SLOWLOG GET`); raise `commandTimeout` if Redis is that far away',
      ],
      [
        'the event loop was blocked for seconds',
        'the cause is in your process: the error comes late, together with other timers',
      ],
      [
        '`engine.text` or `engine.result` has waited for its `timeout`',
        'the stream continues: call again, or stop it',
      ],
    ],
  },
  ERR_STORE: {
    what: 'The store refused a command; the message quotes it.',
    retryable: 'sometimes',
    causes: [
      [
        '`OOM`: Redis has no memory left',
        'add memory, or shorten `ttl`; its policy should be `noeviction` or `volatile-*`',
      ],
      [
        '`NOPERM`: the user lacks a right',
        '`npx tidemark doctor` names it; [operations.md](operations.md) has a list for ACLs',
      ],
      [
        '`unknown command`: the server is too old, or some of its commands are disabled',
        'use Redis 6.2 or newer, or Valkey 7.2 or newer; `npx tidemark doctor` checks the server',
      ],
      [
        '`READONLY`: this is a replica',
        'use the address of the primary, `redis+sentinel:` or `redis+cluster:`',
      ],
      [
        'a limit was reached: 1000 producers, consumers or kept stops of one stream',
        'the message says which; check whether ids of users and streams are mixed up',
      ],
      [
        "another program's key has a stream's name",
        'choose another `keyPrefix`; `engine.delete` removes a damaged stream',
      ],
    ],
  },
  ERR_ACTIVE: {
    what: 'The stream has a live producer already.',
    retryable: 'no',
    causes: [
      [
        'the answer was requested twice, by a double click or two tabs',
        'follow the existing one: `engine.subscribe` or `engine.respond`',
      ],
      [
        'the new answer is to replace the old',
        "`ifActive: 'takeover'`: the old one ends as interrupted and is fenced",
      ],
      [
        'a worker continues where another one has died or is frozen',
        "`ifActive: 'continue'`: the same answer continues, and the other one is fenced",
      ],
      ['several are to write together', "`ifActive: 'share'`, for all of them"],
      [
        'the previous producer was never ended',
        '`complete()` or `fail()` it, in a `finally` or by `await using`; a dead one ends when its `lease` expires',
      ],
    ],
  },
  ERR_FENCED: {
    what: 'This producer was replaced. None of its further writes are accepted, and its `signal` is aborted.',
    retryable: 'no',
    causes: [
      [
        "another one took over, or continues the answer (`ifActive: 'takeover'`, `'continue'`)",
        'stop the model call: give it `producer.signal`',
      ],
      ['the stream was deleted', 'the same'],
      [
        'its lease expired, because the process was frozen or cut off from Redis for longer than `lease`',
        'use a longer `lease`; readers got `interrupted`',
      ],
    ],
  },
  ERR_ENDED: {
    what: 'The generation has ended, so nothing can be written to it.',
    retryable: 'no',
    causes: [
      ['a `write` after `complete()` or `fail()`', 'await the source before the end'],
      ['it was stopped, and `stopGrace` is over', 'end when `producer.signal` is aborted'],
      [
        "a start with `ifEnded: 'error'`",
        "this is intended; `'restart'`, the default, starts another generation",
      ],
    ],
  },
  ERR_CONFLICT: {
    what: 'A log is not in the state that the caller expects. Nothing was written.',
    retryable: 'no',
    causes: [
      ['`log.create`, but the log exists with other options', '`log.status()` shows them'],
      ['an append with another `contentType`', "send the log's content type"],
      ["a `producer`'s `seq` is not the next one", "continue from the error's `expected`"],
      [
        'an `order` that is not greater than that of the previous append',
        'another writer was faster: read the log, then decide again',
      ],
      ['the stream has a producer, so it is not a log', 'use another `streamId`'],
    ],
  },
  ERR_STOPPED: {
    what: "`engine.stop` was called. This error is the reason of the producer's `signal`; `reason` has the stop's reason. Its `name` is `AbortError`.",
    retryable: 'no',
    causes: [
      [
        'Stop was pressed',
        'nothing: model SDKs end on this signal. `complete()` ends the generation as `stopped`',
      ],
    ],
  },
  ERR_BACKPRESSURE: {
    what: "The producer's queue is full; the chunk was not queued, and may be written again.",
    retryable: 'yes',
    causes: [
      [
        'the producer writes faster than Redis accepts',
        '`if (!producer.write(chunk)) await producer.ready`, or `engine.pipe`, which does so',
      ],
      ['Redis has been away for a long time', 'the same, or a larger `maxQueueBytes`'],
    ],
  },
  ERR_ACK_TIMEOUT: {
    what: 'The reader acknowledged nothing for `ackTimeoutMs`, and its loop has ended. Its cursor is kept.',
    retryable: 'no',
    causes: [
      ['processing a chunk took longer', 'raise `ackTimeoutMs`'],
      [
        '`ack` was never called',
        "`subscription.ack(chunk.cursor)`, or `engine.ack` elsewhere; or `ack: 'auto'`",
      ],
    ],
  },
  ERR_NOT_FOUND: {
    what: 'The stream does not exist, and did not appear within `wait`.',
    retryable: 'no',
    causes: [
      ["the id is not the producer's", 'compare them; `npx tidemark ls` lists all streams'],
      [
        'another store, or another `keyPrefix`',
        'use the same for both engines; without `REDIS_URL` each process has its own memory',
      ],
      ['it has expired', 'raise `ttl.done`, and take old answers from your database'],
      ['the producer starts later', 'raise `wait`'],
    ],
  },
  ERR_GAP: {
    what: 'Chunks after the cursor are gone. `resume` is the cursor from which everything is there.',
    retryable: 'no',
    causes: [
      [
        'the cursor is of a generation that is no longer kept, or of another stream',
        "start over with `from: 'start'`, or continue with `from: error.resume`",
      ],
      [
        'Redis has lost entries: evicted, or not yet on disk when it died',
        'set its policy to `noeviction`, and use persistence',
      ],
      [
        "a reader with `follow: 'all'` was more than a generation behind",
        '`from: error.resume` continues with the chunks that are left',
      ],
    ],
  },
  ERR_FORBIDDEN: {
    what: 'The stream was started with an `owner`, and this call gives another one, or none.',
    retryable: 'no',
    causes: [
      [
        'the call gives none',
        'pass the same `{ owner }` to `subscribe`, `respond`, `stop`, `ack` and `produce`',
      ],
      ["the stream is somebody else's", 'this is intended: answer 403'],
    ],
  },
  ERR_FAILED: {
    what: 'The producer ended the generation with an error; `reason` has its message. Every chunk was yielded before.',
    retryable: 'no',
    causes: [
      [
        'the source of the answer failed, or `producer.fail(error)` was called',
        'the cause is in the log of the server that wrote it',
      ],
    ],
  },
  ERR_INTERRUPTED: {
    what: 'The generation ended without its producer; `reason` says how. Every chunk was yielded before.',
    retryable: 'no',
    causes: [
      [
        '`lease`: the producer stopped renewing its lease, for instance because its server was killed',
        'request the answer again; with `closeOnSignals`, readers learn of a deploy at once',
      ],
      ['`closed`: its engine was closed', 'the same'],
      ['`superseded`: another producer took over', 'subscribe again to follow the new one'],
      ['`deleted`', 'by `engine.delete`, or by `engine.cleanup` with `force`'],
      ['`lost`: the store has lost the entries', 'use persistence, and the policy `noeviction`'],
    ],
  },
  ERR_CORRUPT: {
    what: 'A stored frame cannot be decoded.',
    retryable: 'no',
    causes: [
      [
        'something else has written to the stream’s keys',
        'choose another `keyPrefix`; `engine.delete` removes the stream',
      ],
      ['a newer version has written it', 'update all servers'],
    ],
  },
  ERR_CLOSED: {
    what: 'The engine is closed.',
    retryable: 'no',
    causes: [
      ['a method was called after `engine.close()`', 'close it last, once, at the end of the process'],
      [
        'a test closes an engine that others share',
        'an engine for each test costs nothing: engines of one URL share their connections',
      ],
    ],
  },
  ERR_PLATFORM: {
    what: 'The native library cannot be loaded; the `cause` says what was tried.',
    retryable: 'no',
    causes: [
      ['there is none for this operating system and processor', 'the message lists the supported ones'],
      [
        'optional dependencies were omitted, or the lock file was made on another platform',
        'delete `node_modules` and the lock file, and install again',
      ],
      ['a bundler has bundled the package', 'exclude it: [bundlers.md](bundlers.md)'],
    ],
  },
  ERR_INTERNAL: {
    what: 'A defect in Tidemark.',
    retryable: 'no',
    causes: [['you have found a bug', 'please report it, with the message and the stack']],
  },
}

const HEAD = `# Errors by code

Every error of this package is a \`TidemarkError\`. It has a stable \`code\`; \`retryable\`, which says whether the same call may succeed
later; the \`streamId\` concerned; and \`docs\`, the address of its section here. Test the \`code\`, or \`instanceof\` its class.

(Written by \`node scripts/errors.mjs\`.)
`

/** The text of docs/errors.md. */
export function errorsPage() {
  const require = createRequire(import.meta.url)
  /** @type {readonly [code: string, type: { name: string }, name: string][]} */
  const table = require('../dist/errors/errors.js').TABLE
  const sections = table.map(([code, { name }]) => {
    const entry = ENTRIES[code]
    if (entry === undefined) throw new Error(`scripts/errors.mjs says nothing of ${code}`)
    const { what, retryable, causes } = entry
    const rows = causes.map((row) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    return `
## ${code}

\`${name}\`, retryable: ${retryable}. ${what}

| when | what to do |
|---|---|
${rows.join('\n')}
`
  })
  const unknown = Object.keys(ENTRIES).filter((code) => !table.some(([known]) => known === code))
  if (unknown.length > 0) throw new Error(`there is no code ${unknown.join(', ')}`)
  return HEAD + sections.join('')
}

export const errorsFile = join(root, 'docs', 'errors.md')

/** Whether docs/errors.md is up to date. */
export const isCurrent = () => readFileSync(errorsFile, 'utf8') === errorsPage()

if (isMain(import.meta.url)) writeFileSync(errorsFile, errorsPage())
