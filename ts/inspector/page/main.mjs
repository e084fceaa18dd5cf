// The frame: which view is shown, what is asked for it, and what is told above and below it.

import { mark, write } from './dom.mjs'
import { EngineView } from './engine-view.mjs'
import { FinishedView } from './finished-view.mjs'
import { record } from './history.mjs'
import { Poll } from './poll.mjs'
import { StreamView } from './stream-view.mjs'
import { StreamsView } from './streams-view.mjs'

const MOODS = {
  ready: 'good',
  idle: 'warn',
  connecting: 'warn',
  reconnecting: 'warn',
  degraded: 'bad',
  closed: 'bad',
}

const at = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id))
const [place, banner, connection, addressLine, mode] = [
  'view',
  'banner',
  'connection',
  'address',
  'mode',
].map(at)

/** @type {{ element: Element, ask: () => Promise<any>, show: (answer: any) => void, leave?: () => void, name: string, title: string } | undefined} */
let view
/** @type {Poll | undefined} */
let poll

/** `#/`, `#/engine`, `#/finished`, `#/stream?id=…`. */
function open() {
  const [path, query] = location.hash.replace(/^#/, '').split(/\?(.*)/s)
  poll?.end()
  view?.leave?.()
  const renew = () => poll?.now()
  if (path === '/stream') view = new StreamView(new URLSearchParams(query).get('id') ?? '', renew)
  else if (path === '/engine') view = new EngineView()
  else if (path === '/finished') view = new FinishedView()
  else view = new StreamsView(renew)
  place.replaceChildren(view.element)
  document.title = `${view.title} · Tidemark inspector`
  for (const link of document.querySelectorAll('nav a')) {
    mark(link, 'aria-current', link.getAttribute('data-view') === view.name ? 'page' : undefined)
  }
  poll = new Poll(look, trouble)
}

async function look() {
  const shown = view
  const answer = await shown?.ask()
  if (shown !== view || answer === undefined) return
  record(answer)
  shown?.show(answer)
  calm(answer)
}

function calm({ engine, viewer }) {
  banner.hidden = true
  write(connection, engine.state)
  mark(connection, 'data-mood', MOODS[engine.state] ?? 'warn')
  write(addressLine, `${engine.url}${engine.url.startsWith('memory:') ? '' : ` · ${engine.keyPrefix}`}`)
  const can = viewer.write
    ? 'Streams can be stopped and deleted here.'
    : 'Read only: nothing can be changed here.'
  const sees = viewer.showData ? 'Payloads are shown.' : 'Payloads are not shown.'
  const whose = viewer.owner === null ? '' : ` Only streams of ${viewer.owner} are shown.`
  write(mode, `${can} ${sees}${whose}`)
  if (engine.state === 'degraded') {
    banner.hidden = false
    write(banner, 'The store cannot be reached. Live answers go on from memory; what is shown may be old.')
  }
}

/** @param {any} error */
function trouble(error) {
  banner.hidden = false
  if (error.status === 0) {
    write(connection, 'no answer')
    mark(connection, 'data-mood', 'bad')
  }
  const words = {
    0: 'The inspector does not answer. Is its process still running? It is asked again and again.',
    401: 'This page is not let in any more. Open the address, with its token, that the inspector has printed.',
    403: 'This page is not let in.',
    503: 'The store cannot be reached. It is asked again and again; what is shown may be old.',
  }
  write(banner, words[error.status] ?? `That did not work: ${error.message}`)
}

at('skip').addEventListener('click', (event) => {
  event.preventDefault()
  at('main').focus()
})
addEventListener('hashchange', () => {
  open()
  at('main').focus({ preventScroll: true })
  scrollTo(0, 0)
})
open()
