// What the browser shows: a Stop button of `useStop`, beside an answer that is asked for without an SDK.

import { createElement as h, StrictMode, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { TidemarkChatTransport } from 'tidemark/ai'
import { useStop } from 'tidemark/react'

/** @type {any} */
const page = globalThis
/** What `useStop` gave at each render. */
page.given = []
page.outcomes = []

page.TidemarkChatTransport = TidemarkChatTransport

/** Asks for an answer, and reads it to its end. @param {any} transport @param {string} chatId */
page.ask = async (transport, chatId) => {
  const messages = [{ id: 'q', role: 'user', parts: [{ type: 'text', text: 'hello' }] }]
  const chunks = await transport.sendMessages({ chatId, messages, trigger: 'submit-message' })
  page.end = chunks.pipeTo(new WritableStream()).then(
    () => 'finished',
    (/** @type {Error} */ error) => error.name,
  )
}

/** @param {{ first: { chatId: string, transport?: any } }} props */
function App({ first }) {
  const [{ chatId, transport }, setChat] = useState(first)
  page.setChat = setChat
  const stop = useStop(chatId, transport)
  page.given.push(stop)
  const tell = (/** @type {unknown} */ outcome) => page.outcomes.push(outcome)
  const onClick = () =>
    stop().then(tell, (/** @type {any} */ { message, code, status }) => tell({ message, code, status }))
  return h('button', { type: 'button', onClick }, `Stop ${chatId}`)
}

/** @param {{ chatId: string, transport?: any }} first */
page.start = (first) => {
  createRoot(/** @type {Element} */ (document.getElementById('root'))).render(
    h(StrictMode, null, h(App, { first })),
  )
}
