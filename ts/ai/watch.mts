export * from './watch.js'
