export { DELETE, GET } from '../../../../../lib/chat'
