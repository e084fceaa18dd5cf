export * from './react.js'
