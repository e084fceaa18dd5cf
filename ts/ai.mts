export * from './ai.js'
