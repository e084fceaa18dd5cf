import type { Command, Option } from './command'

/** The options of all commands. */
export const GLOBAL: Record<string, Option> = {
  url: { type: 'string', value: 'url', help: 'the store; default: TIDEMARK_URL, REDIS_URL or KV_URL' },
  prefix: { type: 'string', value: 'text', help: "the engines' keyPrefix; default tidemark" },
  ca: { type: 'string', value: 'file', help: 'a private certificate authority, for rediss: URLs' },
  json: { type: 'boolean', help: 'results as JSON' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
}

export function help(commands: Record<string, Command>): string {
  const rows = Object.entries(commands).map(
    ([name, { args, summary }]) => [`${name} ${args}`, summary] as const,
  )
  return `Shows and manages the streams of a store.

Usage: tidemark <command> [options]

Commands:
${table(rows)}

Options of every command:
${table(Object.entries(GLOBAL).map(row))}
${table([['    --version', 'the version of this package']])}

tidemark <command> --help says more. A URL on the command line can be seen by other users of the
machine: one with a password belongs in the environment.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such stream, 4 store not reachable, 130 Ctrl-C.`
}

export function commandHelp(name: string, { args, summary, options, details }: Command): string {
  const own = Object.entries(options).map(row)
  return `${summary}

Usage: tidemark ${[name, args].filter(Boolean).join(' ')} [options]

Options:
${table([...own, ...Object.entries(GLOBAL).map(row)])}${details === undefined ? '' : `\n\n${details}`}`
}

function row([name, { short, value, help }]: [string, Option]): readonly [string, string] {
  const names = `${short === undefined ? '   ' : `-${short},`} --${name}`
  return [value === undefined ? names : `${names} <${value}>`, help]
}

function table(rows: (readonly [string, string])[]): string {
  return rows.map(([left, right]) => `  ${left.padEnd(26)} ${right}`).join('\n')
}
