export { POST } from '../../../lib/chat'
