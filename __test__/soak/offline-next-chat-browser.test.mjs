// The same networks, away for longer than a connection's retries grow to.

process.env.TIDEMARK_OFFLINE_MS = '20000'
await import('../examples/next-chat-network-browser.test.mjs')
