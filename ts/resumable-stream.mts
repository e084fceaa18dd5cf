export * from './resumable-stream.js'
