// `tidemark/ai` with the SDK's own hook in Chromium: `useChat` of `ai` 5, 6 and 7.

import { startBrowser } from '../support/browser.mjs'
import { testUseChat } from './use-chat.mjs'

const browser = await startBrowser()
for (const version of /** @type {const} */ ([5, 6, 7])) testUseChat(browser, version)
