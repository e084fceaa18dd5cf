// What the browser shows: a chat of the SDK's own hook, whichever of its versions this is bundled with.

import { useChat } from '@ai-sdk/react'
import { createElement as h, StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { TidemarkChatTransport } from 'tidemark/ai'
import { savedAnswer } from 'tidemark/ai/saved'
import { useStop, useWatch } from 'tidemark/react'

/** @type {any} */
const page = globalThis
page.errors = []
page.statuses = []

/** What a page that is loaded again has: what it had when it was left. */
const kept = JSON.parse(sessionStorage.getItem('messages') ?? '[]')
/** One of several tabs. */
const isWatching = location.search === '?watch'
const transport = new TidemarkChatTransport({
  maxRetryMs: 50,
  saved: savedAnswer(kept.at(-1)),
  ...(isWatching ? { watch: true } : { silenceMs: 1_000 }),
})

/** The same in each render. @type {typeof useWatch} */
const useOthers = isWatching ? useWatch : () => {}

/** @param {{ id: string }} props */
function Chat({ id }) {
  const chat = useChat({
    id,
    messages: kept,
    transport,
    resume: true,
    onError: (error) => page.errors.push(error.message),
  })
  useOthers(chat)
  page.chat = chat
  page.statuses.push(chat.status)
  if (chat.messages.length > 0) sessionStorage.setItem('messages', JSON.stringify(chat.messages))
  return h(
    'main',
    { 'data-status': chat.status },
    chat.messages.map((message) =>
      h(
        'article',
        { key: message.id, className: message.role },
        message.parts.map((part, index) =>
          h('p', { key: index, className: part.type }, 'text' in part && part.text),
        ),
      ),
    ),
    h('button', { type: 'button', onClick: () => chat.sendMessage({ text: 'hello' }) }, 'Send'),
    h('button', { type: 'button', onClick: useStop(id) }, 'Stop'),
    chat.error && h('b', null, chat.error.message),
  )
}

const root = createRoot(/** @type {Element} */ (document.getElementById('root')))
root.render(h(StrictMode, null, h(Chat, { id: location.hash.slice(1) })))
