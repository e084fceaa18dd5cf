export * from './workflow.js'
