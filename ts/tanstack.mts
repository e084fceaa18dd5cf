export * from './tanstack.js'
