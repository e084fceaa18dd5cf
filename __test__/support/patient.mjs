/**
 * Options of a test's HTTP server. By default it closes a connection on which nothing came for 5 s: so long may a busy machine keep a
 * process from reading what the client, in the same process, has just written, and the client gets ECONNRESET.
 */
export const PATIENT = { keepAliveTimeout: 60_000 }
