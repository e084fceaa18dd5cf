// Loaded before a program that sends webhooks: no machine of a test has a public address. `worker.example` and `other.example` seem to have one
// when they are checked, and their connections come here; `inside.example` is openly of this machine.

const dns = require('node:dns')

const { lookup } = dns
const PUBLIC = '8.8.8.8'
const HERE = '127.0.0.1'

dns.lookup = (host, options, done) => {
  if (!host.endsWith('.example')) return lookup(host, options, done)
  let isChecked = host === 'inside.example'
  const found = {
    family: 4,
    get address() {
      const address = isChecked ? HERE : PUBLIC
      isChecked = true
      return address
    },
  }
  process.nextTick(done, null, [found])
}
