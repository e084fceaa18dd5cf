// Compiled, not run (types.test.mjs): tidemark/client.
import { FollowError, type FollowedChunk, type FollowOptions, follow } from 'tidemark/client'

export async function read(signal: AbortSignal | undefined): Promise<string> {
  const options: FollowOptions = {
    signal,
    from: 'now',
    headers: async () => ({ authorization: 'token' }),
    ack: { url: new URL('http://localhost/ack'), intervalMs: 100 },
  }
  const answer = follow('/stream', options)
  let text = ''
  try {
    for await (const chunk of answer) {
      const { seq, isReset }: FollowedChunk = chunk
      text += `${seq}${isReset}${chunk.json<{ a: string }>().a}`
      // @ts-expect-error: read-only
      chunk.seq = 5
    }
  } catch (error) {
    if (error instanceof FollowError) return `${error.code}${error.status?.toFixed()}${error.resume}`
  }
  // @ts-expect-error: not a place to begin
  follow('/stream', { from: 5 })
  return answer.outcome ?? text
}
