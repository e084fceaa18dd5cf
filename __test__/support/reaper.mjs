// Ends what this process has started when this process ends, be it by a crash or by SIGKILL.

import { spawn } from 'node:child_process'

// A shell that reads what to end from a pipe. The pipe closes with this process, however that dies.
const SCRIPT = `
trap '' HUP INT TERM
pids=' ' folders=
while read -r what value; do
  case $what in
    start) pids="$pids$value " ;;
    ended) pids="\${pids%% $value *} \${pids#* $value }" ;;
    folder) folders="$folders $value" ;;
  esac
done
[ "$pids" = ' ' ] || kill -9 $pids
rm -rf -- $folders
`

/** @type {import('node:child_process').ChildProcess | undefined} */
let reaper

/** @param {string} line */
function tell(line) {
  if (!reaper) {
    reaper = spawn('sh', ['-c', SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
    const pipe = /** @type {import('node:net').Socket} */ (reaper.stdin)
    pipe.unref()
    reaper.unref()
  }
  reaper.stdin?.write(`${line}\n`)
}

/** Kills the child when this process ends. @param {import('node:child_process').ChildProcess} child */
export function reap(child) {
  const { pid } = child
  if (pid === undefined) return
  tell(`start ${pid}`)
  child.once('exit', () => tell(`ended ${pid}`))
}

/** Removes the folder (whose path holds no space) when this process ends. @param {string} folder */
export function reapFolder(folder) {
  tell(`folder ${folder}`)
}
