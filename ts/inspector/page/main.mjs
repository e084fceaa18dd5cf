// Shows a view for each address, polls for its data, and reports the connection above and below it.

import { Refusal } from './api.mjs'
import { mark, write } from './dom.mjs'
import { EngineView } from './engine-view.mjs'
import { FinishedView } from './finished-view.mjs'
import { record } from './history.mjs'
import { Poll } from './poll.mjs'
import { StreamView } from './stream-view.mjs'
import { StreamsView } from './streams-view.mjs'

/** @typedef {import('../answers').Now} Now */

/** @type {Record<Now['engine']['state'], string>} */
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

/** @type {Poll | undefined} */
let poll
/** Ends the view that is shown. */
let leave = () => {}

/** `#/`, `#/engine`, `#/finished`, `#/stream?id=…`. */
function open() {
  const [path, query] = location.hash.replace(/^#/, '').split(/\?(.*)/s)
  const renew = () => poll?.now()
  if (path === '/stream') show(new StreamView(new URLSearchParams(query).get('id') ?? '', renew))
  else if (path === '/engine') show(new EngineView())
  else if (path === '/finished') show(new FinishedView())
  else show(new StreamsView(renew))
}

/**
 * @template {Now} Answer
 * @param {{ element: Element, name: string, title: string, ask: () => Promise<Answer>, show: (answer: Answer) => void,
 *   pause?: (answer: Answer) => number, leave?: () => void }} view
 */
function show(view) {
  leave()
  let isShown = true
  place.replaceChildren(view.element)
  document.title = `${view.title} · Tidemark inspector`
  for (const link of document.querySelectorAll('nav a')) {
    mark(link, 'aria-current', link.getAttribute('data-view') === view.name ? 'page' : undefined)
  }
  const asking = new Poll(async () => {
    const answer = await view.ask()
    if (!isShown || asking.isOutdated) return undefined
    record(answer)
    view.show(answer)
    calm(answer)
    return view.pause?.(answer)
  }, trouble)
  poll = asking
  leave = () => {
    isShown = false
    asking.end()
    view.leave?.()
  }
}

/** @param {Now} answer */
function calm({ engine, viewer }) {
  banner.hidden = true
  write(connection, engine.state)
  mark(connection, 'data-mood', MOODS[engine.state])
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

/** @param {unknown} error */
function trouble(error) {
  const { status, message } = error instanceof Refusal ? error : { status: undefined, message: String(error) }
  banner.hidden = false
  if (status === 0) {
    write(connection, 'no answer')
    mark(connection, 'data-mood', 'bad')
  }
  /** @type {Record<number, string>} */
  const words = {
    0: 'The inspector does not answer. Is its process still running? It is asked again and again.',
    401: 'This page is not let in any more. Open the address, with its token, that the inspector has printed.',
    403: 'This page is not let in.',
    503: 'The store cannot be reached. It is asked again and again; what is shown may be old.',
  }
  write(banner, words[status ?? Number.NaN] ?? `That did not work: ${message}`)
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
