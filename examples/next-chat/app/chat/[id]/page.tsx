import { cookies } from 'next/headers'
import { notFound } from 'next/navigation'
import { listChats, loadChat } from '../../../lib/store'
import { userOf } from '../../../lib/user'
import { Chat } from './chat'

export default async function Page({ params }: { params: Promise<{ id: string }> }) {
  const { id } = await params
  const user = userOf((await cookies()).toString())
  const chat = await loadChat(id)
  if (chat !== undefined && chat.owner !== user) notFound()
  const chats = await listChats(user)
  return (
    <div className="app">
      <nav>
        <header>
          <span className="mark" /> Tidemark
        </header>
        <a className="new" href="/">
          New chat
        </a>
        {chats.map(({ id: each, title }) => (
          <a key={each} href={`/chat/${each}`} aria-current={each === id ? 'page' : undefined}>
            {title}
          </a>
        ))}
        <footer>Signed in as {user}</footer>
      </nav>
      <Chat id={id} saved={chat?.messages ?? []} />
    </div>
  )
}
