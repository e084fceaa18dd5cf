// The page: one reader or two, the buttons, and what happened.

import { child } from './answer.mjs'
import { Reader } from './reader.mjs'

const MAX_LOG = 100
const HELLO_MS = 3000

const $ = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id))

/** What this page's server says of itself. */
let hello = {
  port: Number(location.port),
  store: 'memory',
  controls: { kill: false, restartRedis: false },
  peers: [],
}
/** @type {Reader[]} */
const readers = []
let isAtEnd = true

function idInAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1))
  } catch {
    return location.hash.slice(1)
  }
}

/** @param {string} line */
function log(line) {
  const entry = document.createElement('li')
  child(entry, 'time', new Date().toLocaleTimeString('en-GB'))
  entry.append(line)
  $('log').append(entry)
  while ($('log').children.length > MAX_LOG) $('log').firstElementChild?.remove()
  $('log').scrollTop = $('log').scrollHeight
}

/** @param {string} words */
function note(words, kind = '') {
  $('note').textContent = words
  $('note').dataset.kind = kind
}

/** @param {number} port the server that it reads through */
function addReader(port) {
  const template = /** @type {HTMLTemplateElement} */ ($('reader'))
  const root = /** @type {HTMLElement} */ (template.content.cloneNode(true)).firstElementChild
  $('readers').append(/** @type {HTMLElement} */ (root))
  const isOwn = port === hello.port
  const reader = new Reader(`Reader ${readers.length + 1}`, /** @type {HTMLElement} */ (root), {
    base: isOwn ? '' : `${location.protocol}//${location.hostname}:${port}`,
    port: String(port),
    log,
    onChange: show,
    onTitle: (title) => {
      $('question').textContent = title
    },
    peers: () => (isOwn ? hello.peers : [hello.port, ...hello.peers.filter((each) => each !== port)]),
  })
  readers.push(reader)
  // Its words are read aloud; those of the second are the same.
  if (readers.length === 1) root?.querySelector('.answer')?.setAttribute('aria-live', 'polite')
  if (readers.length === 1) root?.querySelector('.answer')?.setAttribute('id', 'answer')
  document.body.dataset.readers = String(readers.length)
  return reader
}

function removeReader() {
  const reader = readers.pop()
  reader?.leave()
  reader?.root.remove()
  document.body.dataset.readers = String(readers.length)
}

/** @param {string} id @param {{ isNew?: boolean }} [how] */
function follow(id, how) {
  $('question').textContent = ''
  note('')
  $('hello').hidden = id !== ''
  $('readers').hidden = id === ''
  for (const reader of readers) reader.follow(id, how)
  show()
}

// Buttons: those that do nothing now keep the keyboard's place.

/** @param {string} id @param {() => unknown} act */
function onPress(id, act) {
  $(id).addEventListener('click', () => {
    if ($(id).getAttribute('aria-disabled') !== 'true') act()
  })
}

/** @param {string} id @param {boolean} isEnabled */
function enable(id, isEnabled) {
  $(id).setAttribute('aria-disabled', String(!isEnabled))
}

/** @param {string} path @returns {Promise<any>} */
async function post(path) {
  note('')
  try {
    const response = await fetch(path, { method: 'POST' })
    const body = await response.json()
    if (!response.ok) throw new Error(body.message)
    return body
  } catch (error) {
    note(`That did not work: ${/** @type {Error} */ (error).message}`, 'bad')
    return undefined
  }
}

let started = ''

onPress('start', async () => {
  const answer = await post('/start')
  if (!answer) return
  log(`answer ${answer.id} started`)
  started = answer.id
  location.hash = encodeURIComponent(answer.id)
})

onPress('stop', async () => {
  const stopped = await post(`/stop?id=${encodeURIComponent(idInAddress())}`)
  if (stopped?.result === 'ended') note('It had ended already.')
  else if (stopped) log('Stop pressed')
})

onPress('drop', () => readers[0]?.drop())

onPress('beside', async () => {
  // Through another server, if there is one.
  if (readers.length === 1 && hello.store !== 'memory') await ask()
  if (readers.length > 1) removeReader()
  else addReader(hello.peers[0] ?? hello.port).follow(idInAddress())
  show()
})

onPress('kill', async () => {
  if (await post('/kill')) log(`the server on port ${hello.port} is killed`)
})

onPress('restart', async () => {
  if (await post('/restart-redis')) log('Redis is killed, and starts again empty')
})

function show() {
  const [first] = readers
  if (first === undefined) return
  const id = idInAddress()
  $('start').textContent = id === '' ? 'Start' : 'Start again'
  enable('start', first.isOver || first.isLost)
  enable('stop', !first.isOver)
  enable('drop', first.canDrop)
  enable('beside', id !== '')
  $('beside').setAttribute('aria-pressed', String(readers.length > 1))
  $('kill').hidden = !hello.controls.kill
  enable('kill', !first.isLost)
  $('restart').hidden = !hello.controls.restartRedis
  enable('restart', !first.isLost)
  $('second').hidden = id === ''
  $('second').setAttribute('href', `#${encodeURIComponent(id)}`)
  if (id !== '' && isAtEnd) scrollTo(0, document.documentElement.scrollHeight)
}

addEventListener('scroll', () => {
  isAtEnd = innerHeight + scrollY > document.documentElement.scrollHeight - 80
})

addEventListener('hashchange', () => {
  const id = idInAddress()
  follow(id, { isNew: id === started })
})

async function ask() {
  try {
    const response = await fetch('/hello', { signal: AbortSignal.timeout(HELLO_MS) })
    hello = await response.json()
  } catch {
    // The readers say so.
  }
  for (const reader of readers) if (reader.isLost) reader.offer()
  show()
}

await ask()
addReader(hello.port)
follow(idInAddress())
if (hello.store !== 'memory') setInterval(ask, HELLO_MS)
