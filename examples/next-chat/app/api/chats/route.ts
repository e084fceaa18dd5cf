import { listChats } from '../../../lib/store'
import { userOf } from '../../../lib/user'

/** The chats of the user who asks. */
export async function GET(request: Request) {
  return Response.json(await listChats(userOf(request.headers.get('cookie'))))
}
