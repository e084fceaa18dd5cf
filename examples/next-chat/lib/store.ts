// The chats, one JSON file each: what would be your database. Two servers on one machine share the folder.

import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { UIMessage } from 'ai'

export interface Chat {
  id: string
  owner: string
  title: string
  at: number
  messages: UIMessage[]
}

const folder = process.env.DATA_DIR ?? join(/* turbopackIgnore: true */ process.cwd(), '.data')
// The bundler need not look for what these paths may name.
const inFolder = (name: string) => join(/* turbopackIgnore: true */ folder, name)
const fileOf = (id: string) => inFolder(`${encodeURIComponent(id)}.json`)

export async function loadChat(id: string): Promise<Chat | undefined> {
  const text = await readFile(fileOf(id), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : JSON.parse(text)
}

export async function saveChat(id: string, owner: string, messages: UIMessage[]) {
  const title = messages[0]?.parts.find((part) => part.type === 'text')?.text.slice(0, 60) ?? 'New chat'
  await mkdir(folder, { recursive: true })
  const draft = inFolder(`.${crypto.randomUUID()}`)
  await writeFile(draft, JSON.stringify({ id, owner, title, at: Date.now(), messages }))
  await rename(draft, fileOf(id))
}

/** The chats of one user, the latest first. */
export async function listChats(owner: string) {
  const names = await readdir(folder).catch((): string[] => [])
  const files = names.filter((name) => name.endsWith('.json'))
  const chats = await Promise.all(files.map((name) => loadChat(decodeURIComponent(name.slice(0, -5)))))
  return chats
    .filter((chat) => chat !== undefined)
    .filter((chat) => chat.owner === owner)
    .sort((a, b) => b.at - a.at)
    .map(({ id, title }) => ({ id, title }))
}
