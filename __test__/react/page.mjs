// What the browser shows: components whose every render is counted.

import { createElement as h, StrictMode, Suspense, useState } from 'react'
import { createRoot, hydrateRoot } from 'react-dom/client'
import { useFollow } from 'tidemark/react'

/** @type {any} */
const page = globalThis
page.renders = 0
page.frames = 0
page.errors = []

/** @param {{ url: string | null }} props */
export function Answer({ url }) {
  page.renders++
  const sum = (/** @type {number} */ value, /** @type {any} */ { data }) => value + data.length
  // A page may have kept something of its streams.
  const initial = Number(new URL(url ?? '', 'http://localhost').searchParams.get('initial'))
  const state = useFollow(url, { reduce: sum, initial, minRetryMs: 20 })
  page.state = state
  return h('p', { 'data-status': state.status }, `${state.status}: ${state.text}`)
}

/** Lets go of what it holds back once it is told to. */
const gates = new Map()
function Gate({ name }) {
  const gate = gates.get(name)
  if (gate !== 'open') {
    if (gate === undefined) {
      const promise = new Promise((resolve) => {
        page.openGate = () => {
          gates.set(name, 'open')
          resolve(undefined)
        }
      })
      gates.set(name, promise)
    }
    throw gates.get(name)
  }
  return h('i', null, name)
}

function App({ first, isHeld }) {
  const [url, setUrl] = useState(first)
  const [gate, setGate] = useState(isHeld ? 'first' : undefined)
  page.setUrl = setUrl
  page.setGate = setGate
  return h(
    Suspense,
    { fallback: h('b', null, 'waiting') },
    h(Answer, { key: 'answer', url }),
    gate && h(Gate, { key: 'gate', name: gate }),
  )
}

page.start = (
  /** @type {string | null} */ url,
  { isStrict = false, isHeld = false, isHydrated = false } = {},
) => {
  const app = h(App, { first: url, isHeld })
  const tree = isStrict ? h(StrictMode, null, app) : app
  const onError = (/** @type {unknown} */ error) => page.errors.push(String(error))
  const options = { onRecoverableError: onError, onUncaughtError: onError }
  const container = document.getElementById('root')
  let root
  if (isHydrated) root = hydrateRoot(container, tree, options)
  else {
    root = createRoot(container, options)
    root.render(tree)
  }
  page.leave = () => root.unmount()
  const frame = () => {
    page.frames++
    requestAnimationFrame(frame)
  }
  requestAnimationFrame(frame)
}
