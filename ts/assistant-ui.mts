export * from './assistant-ui.js'
