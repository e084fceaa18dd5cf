// `npm run demo`: sets up what is missing, then runs the demo with this terminal and these arguments.

import { launch } from './launch.mjs'
import { runMain, setup } from './setup.mjs'

await runMain(async () => {
  await setup()
  return launch(['examples/demo/main.mjs', ...process.argv.slice(2)])
})
