export * from './saved.js'
