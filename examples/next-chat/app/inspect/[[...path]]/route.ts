import { inspector } from 'tidemark/inspector'
import { engine } from '../../../lib/chat'
import { userOf } from '../../../lib/user'

// Everybody sees their own streams; an administrator would be let in with `true`, and see all.
const inspect = inspector({
  engine,
  authorize: (request) => ({ owner: userOf(request.headers.get('cookie')) }),
  write: true,
  showData: true,
})

export { inspect as GET, inspect as POST }
