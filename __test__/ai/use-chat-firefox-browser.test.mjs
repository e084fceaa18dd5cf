// The same in Firefox, whose network code is another one; the versions of the SDK make no difference to it.

import { test } from 'node:test'
import { noFirefox, startFirefox } from '../support/browser.mjs'
import { testUseChat } from './use-chat.mjs'

if (noFirefox) test('useChat in Firefox', { skip: noFirefox })
else testUseChat(await startFirefox(), 7)
