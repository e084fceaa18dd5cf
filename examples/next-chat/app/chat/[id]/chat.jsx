'use client'

import { useChat } from '@ai-sdk/react'
import { lastAssistantMessageIsCompleteWithApprovalResponses } from 'ai'
import { useEffect, useRef, useState } from 'react'
import { TidemarkChatTransport } from 'tidemark/ai'
import { useStop, useWatch } from 'tidemark/react'

export function Chat({ id, saved }) {
  const [isLost, setLost] = useState(false)
  const [transport] = useState(
    () =>
      new TidemarkChatTransport({
        after: saved.at(-1)?.id,
        watch: true,
        whileBusy: 'queue',
        onConnection: (connection) => setLost(connection === 'reconnecting'),
      }),
  )
  const chat = useChat({
    id,
    messages: saved,
    transport,
    resume: true,
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
  })
  // What begins in another tab, or on another device, is shown here too.
  useWatch(chat)
  // Ends the model call, wherever it runs; the hook's own `stop` would only close this tab's ears.
  const stop = useStop(id)
  const { messages, sendMessage, addToolApprovalResponse, status, error } = chat
  const isBusy = status === 'submitted' || status === 'streaming'

  const end = useRef(null)
  // What is told below the answer is to be seen too.
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
          <Message key={message.id} message={message} onAnswer={addToolApprovalResponse} />
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
      <Composer isBusy={isBusy} onSend={sendMessage} onStop={stop} />
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

function Message({ message, onAnswer }) {
  return (
    <article className={message.role} data-role={message.role}>
      {message.parts.map((part, index) => (
        // Parts are only ever appended.
        <Part key={index} part={part} onAnswer={onAnswer} />
      ))}
    </article>
  )
}

function Part({ part, onAnswer }) {
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
  if (part.type === 'tool-warn') return <Warning part={part} onAnswer={onAnswer} />
  if (part.type === 'file') {
    return part.mediaType.startsWith('image/') ? (
      <img className="file" src={part.url} alt={part.filename ?? 'A picture'} />
    ) : (
      <div className="file">{part.filename ?? part.mediaType}</div>
    )
  }
  return null
}

/** A tool that asks before it does what cannot be undone; any tab may answer. */
function Warning({ part: { state, approval, input }, onAnswer }) {
  const answer = (approved) => onAnswer({ id: approval.id, approved })
  return (
    <div className="tool">
      Warn the harbour of {input?.harbour ?? '…'}?{' '}
      {state === 'approval-requested' && (
        <>
          <button type="button" onClick={() => answer(true)}>
            Yes
          </button>{' '}
          <button type="button" onClick={() => answer(false)}>
            No
          </button>
        </>
      )}
      {state === 'approval-responded' && (approval.approved ? 'Yes.' : 'No.')}
      {state === 'output-available' && 'It is warned.'}
      {state === 'output-denied' && 'It is not.'}
    </div>
  )
}

function Composer({ isBusy, onSend, onStop }) {
  const [text, setText] = useState('')
  const files = useRef(null)
  // While an answer comes, the message waits for its end.
  const send = (event) => {
    event.preventDefault()
    if (text.trim() === '') return
    onSend({ text, files: files.current.files })
    setText('')
    files.current.value = ''
  }
  return (
    <form className="composer" onSubmit={send}>
      <input
        value={text}
        onChange={(event) => setText(event.target.value)}
        placeholder="Tell me a story of the tide"
        aria-label="Message"
      />
      <input ref={files} type="file" aria-label="File" />
      {isBusy && (
        <button type="button" className="stop" onClick={onStop}>
          Stop
        </button>
      )}
      <button type="submit">Send</button>
    </form>
  )
}
