export * from './durable-streams.js'
