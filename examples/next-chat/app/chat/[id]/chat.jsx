'use client'

import { useChat } from '@ai-sdk/react'
import { useEffect, useRef, useState } from 'react'
import { TidemarkChatTransport } from 'tidemark/ai'

export function Chat({ id, saved }) {
  const [isLost, setLost] = useState(false)
  const [transport] = useState(
    () =>
      new TidemarkChatTransport({
        after: saved.at(-1)?.id,
        onConnection: (connection) => setLost(connection === 'reconnecting'),
      }),
  )
  const { messages, sendMessage, status, error } = useChat({ id, messages: saved, transport, resume: true })
  const isBusy = status === 'submitted' || status === 'streaming'
  // Ends the model call, wherever it runs; the hook's own `stop` would only close this tab's ears.
  const stop = () => transport.stop(id)

  const end = useRef(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is told below the answer is to be seen too
  useEffect(() => {
    if (messages.length > 0) end.current?.scrollIntoView({ block: 'end' })
  }, [messages, status, error, isLost])

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
          {isBusy && isLost && <div className="note">Connection lost, trying again …</div>}
          {error && <div className="note failed">{wordsFor(error)}</div>}
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
