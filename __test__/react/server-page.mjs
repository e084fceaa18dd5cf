// The same on a server.

import { createElement as h } from 'react'
import { renderToString } from 'react-dom/server'
import { useFollow, useStop, useWatch } from 'tidemark/react'

function Answer({ url }) {
  const { status, text, value, chunks, cursor, outcome } = useFollow(url, {
    reduce: (sum) => sum + 1,
    initial: 7,
  })
  const stop = useStop('chat')
  useWatch({ id: 'chat', status: 'ready', messages: [], resumeStream: async () => {} })
  if (cursor ?? outcome ?? chunks[0]) throw new Error('it has begun')
  return h('p', { 'data-status': status }, `${status}: ${text}${value}${typeof stop}`)
}

export const render = (/** @type {string | null} */ url) => renderToString(h(Answer, { url }))
