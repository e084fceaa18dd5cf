// `node scripts/errors.mjs` writes docs/errors.md: what each code of the table in ts/errors/errors.ts comes from, and what to do.
// A test says when it has to be run again.

import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from './steps.mjs'

/**
 * What is known of a code: whether trying again may help (by itself, or `sometimes`), and its causes, each with its cure.
 * @typedef {object} Entry
 * @property {string} what
 * @property {'yes' | 'no' | 'sometimes'} retryable
 * @property {[cause: string, cure: string][]} causes
 */

/** @type {Record<string, Entry>} */
const ENTRIES = {
  ERR_INVALID_ARGUMENT: {
    what: 'A value was refused at the door; `field` names it. Nothing was done.',
    retryable: 'no',
    causes: [
      [
        'an option that there is not, or of another kind or range',
        'the message says what is accepted; `index.d.ts` has all of them',
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
      [
        'a cursor that was cut or changed on its way',
        'pass on the text as it came, percent-encoded in a URL',
      ],
      [
        'half a character at an end of an id, owner or reason',
        'cut text by characters: `text.toWellFormed()` shows where',
      ],
    ],
  },
  ERR_SCHEMA: {
    what: 'An event does not fit its schema; `issues` has every bad field, `path` the first. It was not written, or not yielded.',
    retryable: 'no',
    causes: [
      ['the writer has made an event that its own schema refuses', 'the message names the field'],
      [
        'a reader has another version of the schema than the writer',
        "deploy readers first, or read with `validate: 'drop'` or `'off'`",
      ],
    ],
  },
  ERR_CONNECTION: {
    what: 'The store cannot be reached. The message has the address, without user and password, and the reason.',
    retryable: 'sometimes',
    causes: [
      [
        'no server there: `Connection refused`',
        'start it, or correct host and port; `npx tidemark doctor` tries them',
      ],
      [
        'what answers is no Redis server',
        'the port is that of something else, of an HTTP server for instance',
      ],
      ['the server hangs up at once', 'if it speaks TLS, the URL begins with `rediss:`'],
      ['it does not answer to TLS', 'if it speaks none, the URL begins with `redis:`'],
      [
        '`UnknownIssuer`',
        'give the authority that has signed its certificate, or a self-signed certificate itself, as `tls.ca`',
      ],
      [
        '`not valid for name`',
        'connect by a name that is in the certificate, or give that as `tls.servername`',
      ],
      [
        'the user name or the password was refused; never `retryable`',
        'correct them, percent-encoded in the URL, or use `credentials` for those that expire',
      ],
      [
        'Redis is away for a while',
        'nothing: the engine reconnects, live answers go on from memory, and `engine.state` tells',
      ],
    ],
  },
  ERR_TIMEOUT: {
    what: 'There was no answer in time. The operation may have taken effect; what a producer writes is tried again without being doubled.',
    retryable: 'yes',
    causes: [
      [
        'Redis is busy, or the network is slow',
        'look for slow commands of others (`SLOWLOG GET`); raise `commandTimeout` if it is that far away',
      ],
      [
        'the event loop was blocked for seconds',
        'it is your process then: the message comes late, with other timers',
      ],
      [
        '`engine.text` or `engine.result` has waited for its `timeout`',
        'the stream goes on: ask again, or stop it',
      ],
    ],
  },
  ERR_STORE: {
    what: 'The store refused a command; the message has its words.',
    retryable: 'sometimes',
    causes: [
      [
        '`OOM`: Redis has no memory left',
        'give it more, or shorten `ttl`; its policy should be `noeviction` or `volatile-*`',
      ],
      [
        '`NOPERM`: the user lacks a right',
        '`npx tidemark doctor` names it; [operations.md](operations.md) has a list for ACLs',
      ],
      [
        '`READONLY`: this is a replica',
        'use the address of the primary, `redis+sentinel:` or `redis+cluster:`',
      ],
      [
        'a bound was met: 1000 producers, consumers or kept stops of one stream',
        'the message says which; ids of users and streams may be mixed up',
      ],
      [
        "somebody else's key has a stream's name",
        'choose another `keyPrefix`; `engine.delete` removes a damaged stream',
      ],
    ],
  },
  ERR_ACTIVE: {
    what: 'The stream has a live producer already.',
    retryable: 'no',
    causes: [
      [
        'the answer was asked for twice, by a double click or two tabs',
        'follow the one that there is: `engine.subscribe` or `engine.respond`',
      ],
      [
        'the new answer is to replace the old',
        "`ifActive: 'takeover'`: the old one ends as interrupted and is fenced",
      ],
      [
        'a worker goes on where another one has died or stands still',
        "`ifActive: 'continue'`: the same answer goes on, and the other one is fenced",
      ],
      ['several are to write together', "`ifActive: 'share'`, for all of them"],
      [
        'the producer before was never ended',
        '`complete()` or `fail()` it, in a `finally` or by `await using`; one that has died goes with its `lease`',
      ],
    ],
  },
  ERR_FENCED: {
    what: 'This producer was replaced. Nothing that it writes lands any more, and its `signal` is aborted.',
    retryable: 'no',
    causes: [
      [
        "another one took over, or goes on with the answer (`ifActive: 'takeover'`, `'continue'`)",
        'stop the model call: give it `producer.signal`',
      ],
      ['the stream was deleted', 'the same'],
      [
        'its lease lapsed, because the process was frozen or cut off from Redis for longer than `lease`',
        'a longer `lease`; readers were told `interrupted`',
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
        "that is its meaning; `'restart'`, the default, starts another generation",
      ],
    ],
  },
  ERR_CONFLICT: {
    what: 'A log is not as the caller takes it to be. Nothing was written.',
    retryable: 'no',
    causes: [
      ['`log.create` of one that is there and was made differently', 'ask `log.status()` how'],
      ['an append with another `contentType`', 'send what the log is made of'],
      ['a `producer` whose `seq` does not follow on what was accepted', "go on from the error's `expected`"],
      [
        'an `order` that is not greater than that of the append before',
        'somebody else was faster: read, and decide anew',
      ],
      ["the stream is a producer's, and no log", 'use another `streamId`'],
    ],
  },
  ERR_STOPPED: {
    what: "Somebody has called `engine.stop`: the reason of the producer's `signal`, with their words in `reason`. Its `name` is `AbortError`.",
    retryable: 'no',
    causes: [
      ['Stop was pressed', 'nothing: model SDKs end by it. `complete()` ends the generation as `stopped`'],
    ],
  },
  ERR_BACKPRESSURE: {
    what: "The producer's queue is full; the chunk was not taken, and may be written again.",
    retryable: 'yes',
    causes: [
      [
        'writing faster than Redis takes it',
        '`if (!producer.write(chunk)) await producer.ready`, or `engine.pipe`, which does so',
      ],
      ['Redis has been away for long', 'the same, or a larger `maxQueueBytes`'],
    ],
  },
  ERR_ACK_TIMEOUT: {
    what: 'The reader acknowledged nothing for `ackTimeoutMs`, and its loop has ended. Its cursor is kept.',
    retryable: 'no',
    causes: [
      ['the work on a chunk took longer', 'raise `ackTimeoutMs`'],
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
      ['another id than the producer has', 'compare them; `npx tidemark ls` lists what there is'],
      [
        'another store, or another `keyPrefix`',
        'both engines need the same; without `REDIS_URL` each process has a memory of its own',
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
        "begin anew: `from: 'start'`, or `from: error.resume`",
      ],
      [
        'Redis has lost entries: evicted, or not yet on disk when it died',
        'its policy should be `noeviction`; persistence keeps them',
      ],
      [
        "a reader with `follow: 'all'` was more than a generation behind",
        '`from: error.resume` goes on with what is left',
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
      ["it is somebody else's", 'that is its meaning: answer 403'],
    ],
  },
  ERR_FAILED: {
    what: 'The producer has ended the generation with an error, whose words are in `reason`. Every chunk was yielded before.',
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
        '`lease`: the producer gave no sign of life, since its server was killed',
        'ask for the answer again; `closeOnSignals` tells readers at once at a deploy',
      ],
      ['`closed`: its engine was closed', 'the same'],
      ['`superseded`: another producer took over', 'subscribe again: that one is followed'],
      ['`deleted`', 'by `engine.delete`, or by `engine.cleanup` with `force`'],
      ['`lost`: the store has lost the entries', 'persistence, and a policy of `noeviction`'],
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
      ['a newer version has written it', 'bring all servers up to date'],
    ],
  },
  ERR_CLOSED: {
    what: 'The engine is closed.',
    retryable: 'no',
    causes: [
      ['something was called after `engine.close()`', 'close it last, once, at the end of the process'],
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
      ['there is none for this operating system and processor', 'the message lists those that there are'],
      [
        'optional dependencies were left out, or the lock file is of another platform',
        'delete `node_modules` and the lock file, and install again',
      ],
      ['a bundler has taken the package in', 'leave it out: [bundlers.md](bundlers.md)'],
    ],
  },
  ERR_INTERNAL: {
    what: 'A defect in Tidemark.',
    retryable: 'no',
    causes: [['you have found one', 'please report it, with the message and the stack']],
  },
}

const HEAD = `# Errors by code

Every error of this package is a \`TidemarkError\` with a stable \`code\`, whether the same call may succeed later (\`retryable\`), the
\`streamId\` it is about, and \`docs\`, the address of its section here. Test the \`code\`, or \`instanceof\` its class.

(Written by \`node scripts/errors.mjs\`.)
`

/** The page. */
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

/** Where it is. */
export const errorsFile = join(root, 'docs', 'errors.md')

/** Whether the file is what would be written. */
export const isCurrent = () => readFileSync(errorsFile, 'utf8') === errorsPage()

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(errorsFile, errorsPage())
