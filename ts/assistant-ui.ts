/**
 * A store for assistant-ui's resumable streams: `docs/assistant-ui.md`.
 *
 * @packageDocumentation
 */
export { ResumableStreamError, type ResumableStreamErrorCode } from './assistant-ui/errors'
export {
  type AssistantUiStore,
  type AssistantUiStoreOptions,
  assistantUiStore,
} from './assistant-ui/store'
