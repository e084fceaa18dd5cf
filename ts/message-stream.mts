export * from './message-stream.js'
