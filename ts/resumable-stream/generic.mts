export * from './generic.js'
