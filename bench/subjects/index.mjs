// What is measured. A subject's module is loaded in the process that needs it and nowhere else.

/**
 * @typedef {import('../lib/payload.mjs').TimedDelta} Event
 *
 * @typedef {object} Client one process' view of a subject
 * @property {(id: string) => Promise<Writer>} open starts a stream
 * @property {(id: string, on: (event: Event) => void) => Promise<void>} consume calls back for each event until the
 *   stream has ended; may be called before the stream is started
 *
 * @typedef {object} Writer
 * @property {(event: Event) => Promise<void> | undefined} write a promise when the queue is full: wait before the next; the
 *   event is the caller's, who changes it afterwards
 * @property {() => Promise<void>} end settles when everything is written
 *
 * @typedef {object} Subject
 * @property {string} note
 * @property {boolean} usesRedis
 * @property {(url: string) => Promise<Client>} [connect]
 * @property {() => Promise<string>} [program] instead of it: the path of a program that plays the parts of all processes
 */

/** @type {Record<string, Subject>} */
export const subjects = {
  floor: {
    note: 'the driver itself: a timer and JSON.stringify, nothing is sent',
    usesRedis: false,
    connect: async () => (await import('./floor.mjs')).connect(),
  },
  'handmade-ioredis': {
    note: 'hand-made on ioredis, one entry for each chunk',
    usesRedis: true,
    connect: async (url) => (await import('./handmade/index.mjs')).connect(url, 'chunk'),
  },
  'handmade-ioredis-batch': {
    note: 'hand-made on ioredis, one entry for each flush',
    usesRedis: true,
    connect: async (url) => (await import('./handmade/index.mjs')).connect(url, 'batch'),
  },
  'handmade-worker': {
    note: 'the hand-made one, one entry for each chunk, in a `worker_threads` worker: the main thread keeps the JSON',
    usesRedis: true,
    connect: async (url) => (await import('./handmade-worker/index.mjs')).connect(url),
  },
  'resumable-stream': {
    note: 'resumable-stream of npm, on ioredis 5: it keeps nothing in Redis, and publishes once for each reader',
    usesRedis: true,
    connect: async (url) => (await import('./resumable-stream.mjs')).connect(url),
  },
  'rust-client': {
    note: 'a ceiling: a plain client in Rust that does what the hand-made ones do, without JavaScript',
    usesRedis: true,
    program: async () => (await import('./rust-client.mjs')).rustClient(),
  },
  tidemark: {
    note: 'this package',
    usesRedis: true,
    connect: async (url) => (await import('./tidemark.mjs')).connect(url),
  },
}

/** @param {string} name */
export function subjectNamed(name) {
  const subject = subjects[name]
  if (!subject) throw new Error(`no subject ${name}; there are ${Object.keys(subjects).join(', ')}`)
  return subject
}

/** A process' view of a subject. @param {string} name @param {string} url @returns {Promise<Client>} */
export function connectTo(name, url) {
  const { connect } = subjectNamed(name)
  if (!connect) throw new Error(`${name} is a program of its own`)
  return connect(url)
}
