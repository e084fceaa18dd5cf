// `tidemark/ai` is a transport to every version of the SDK.

import type * as ai7 from 'ai'
import type * as ai5 from 'ai-5'
import type * as ai6 from 'ai-6'
import { TidemarkChatTransport } from 'tidemark/ai'
import { savedAnswer } from 'tidemark/ai/saved'

export const of5: ai5.ChatTransport<ai5.UIMessage> = new TidemarkChatTransport<ai5.UIMessage>()
export const of6: ai6.ChatTransport<ai6.UIMessage> = new TidemarkChatTransport<ai6.UIMessage>({
  after: (chatId) => chatId,
  prepareSendMessagesRequest: ({ id, messages }) => ({ body: { id, message: messages.at(-1)?.parts } }),
})
export const of7: ai7.ChatTransport<ai7.UIMessage> = new TidemarkChatTransport({ whileBusy: 'queue' })

declare const kept: { five: ai5.UIMessage[]; six: ai6.UIMessage; seven: ai7.UIMessage | undefined }
new TidemarkChatTransport({ saved: savedAnswer(() => kept.five.at(-1)) })
new TidemarkChatTransport({ saved: savedAnswer(kept.six) })
new TidemarkChatTransport({ saved: savedAnswer(async () => kept.seven) })

// @ts-expect-error there is no such option
new TidemarkChatTransport({ whileBusy: 'wait' })
