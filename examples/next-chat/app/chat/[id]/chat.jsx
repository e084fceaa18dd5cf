'use client'

import { useChat } from '@ai-sdk/react'
import { DefaultChatTransport } from 'ai'
import { useEffect, useRef, useState } from 'react'

const RETRY_MS = 1000

export function Chat({ id, saved }) {
  // The last message that is whole: what follows it is sent even if it has ended meanwhile.
  const whole = useRef(saved.at(-1)?.id)
  const [transport] = useState(
    () =>
      new DefaultChatTransport({
        prepareReconnectToStreamRequest: () => ({ api: `/api/chat/${id}/stream?after=${whole.current}` }),
      }),
  )
  const { messages, sendMessage, status, error, resumeStream } = useChat({
    id,
    messages: saved,
    transport,
    resume: true,
  })
  if (status === 'streaming' || status === 'error') {
    whole.current = messages.findLast(({ role }) => role === 'user')?.id
  }
  const isBusy = status === 'submitted' || status === 'streaming'
  const isCutOff = status === 'error' && error instanceof TypeError

  // A connection that was lost, unlike an answer that has failed, is made again.
  useEffect(() => {
    if (!isCutOff) return
    const again = () => void resumeStream()
    const timer = setInterval(again, RETRY_MS)
    window.addEventListener('online', again)
    return () => {
      clearInterval(timer)
      window.removeEventListener('online', again)
    }
  }, [isCutOff, resumeStream])

  // Ends the model call, wherever it runs; the hook's own `stop` would only close this tab's ears.
  const stop = () => fetch(`/api/chat/${id}/stream`, { method: 'DELETE' })

  const end = useRef(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is told below the answer is to be seen too
  useEffect(() => {
    if (messages.length > 0) end.current?.scrollIntoView({ block: 'end' })
  }, [messages, status, error])

  return (
    <main data-status={status}>
      <div className="messages">
        {messages.length === 0 && (
          <div className="empty">
            <h1>Ask for a story</h1>
            <p>Then reload, open a second tab, go offline, stop it in the other tab, or kill the server.</p>
          </div>
        )}
        {messages.length > 0 && <h1 className="unseen">{titleOf(messages)}</h1>}
        {messages.map((message) => (
          <Message key={message.id} message={message} />
        ))}
        {status === 'submitted' && <div className="dots" role="status" aria-label="Waiting" />}
        <div role="status">
          {isCutOff && <div className="note">Connection lost, trying again …</div>}
          {error && !isCutOff && <div className="note failed">{wordsFor(error)}</div>}
          {status === 'ready' && isUnfinished(messages.at(-1)) && (
            <div className="note">Stopped. You can ask again.</div>
          )}
        </div>
        <div ref={end} />
      </div>
      <Composer isBusy={isBusy} onSend={(text) => sendMessage({ text })} onStop={stop} />
    </main>
  )
}

/** An answer that was stopped ends in mid-sentence: in every tab, and where it is saved. */
function isUnfinished(message) {
  return message?.parts.some(({ state }) => state === 'streaming' || state === 'input-streaming')
}

function titleOf([{ parts }]) {
  return parts.find(({ type }) => type === 'text')?.text ?? 'Chat'
}

function wordsFor({ message }) {
  return message.startsWith('interrupted')
    ? 'The answer was interrupted: its server is gone. You can ask again.'
    : message
}

function Message({ message }) {
  return (
    <article className={message.role} data-role={message.role}>
      {message.parts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: parts are only ever appended
        <Part key={index} part={part} />
      ))}
    </article>
  )
}

function Part({ part }) {
  if (part.type === 'text') return <div className="text">{part.text}</div>
  if (part.type === 'reasoning') {
    return (
      <details className="thoughts">
        <summary>Thoughts</summary>
        {part.text}
      </details>
    )
  }
  if (part.type === 'tool-tide') {
    const { output } = part
    return (
      <div className="tool">
        {output ? `Tide at ${output.harbour}: ${output.height}, ${output.state}` : 'Looking up the tide …'}
      </div>
    )
  }
  return null
}

function Composer({ isBusy, onSend, onStop }) {
  const [text, setText] = useState('')
  const send = (event) => {
    event.preventDefault()
    if (isBusy || text.trim() === '') return
    onSend(text)
    setText('')
  }
  return (
    <form className="composer" onSubmit={send}>
      <input
        value={text}
        onChange={(event) => setText(event.target.value)}
        placeholder="Tell me a story of the tide"
        aria-label="Message"
      />
      {isBusy ? (
        <button type="button" className="stop" onClick={onStop}>
          Stop
        </button>
      ) : (
        <button type="submit">Send</button>
      )}
    </form>
  )
}
