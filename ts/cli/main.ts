#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { EngineOptions } from '../../index'
import { Engine } from '../core/engine'
import { TidemarkError } from '../errors/errors'
import { engineConfig } from '../options/options'
import { addressOf } from '../options/url'
import { suggestion } from '../util/suggestion'
import { cleanup } from './cleanup'
import { type Command, EXIT, text, UsageError, type Values } from './command'
import { dead } from './dead'
import { doctor } from './doctor'
import { groups } from './groups'
import { commandHelp, GLOBAL, help } from './help'
import { ls } from './ls'
import { argument, Output } from './output'
import { packageInfo } from './package'
import { rm } from './rm'
import { serve } from './serve'
import { show } from './show'
import { stats } from './stats'
import { stop } from './stop'
import { tail } from './tail'
import { top } from './top'
import { ui } from './ui'

const COMMANDS: Record<string, Command> = {
  ls,
  top,
  ui,
  show,
  tail,
  stop,
  rm,
  cleanup,
  stats,
  groups,
  dead,
  doctor,
  serve,
}

/** How long the command may take to finish after Ctrl-C. */
const ABORT_MS = 5_000

/** After this long without output, the user is told what is being waited for. */
const SILENCE_MS = 500

/** The command whose help describes the mistake, and a space; empty before it is known. */
let helpful = ''

async function main(args: string[]): Promise<number> {
  const { name, rest } = split(args)
  const command = name !== undefined && Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (name === undefined || command === undefined) {
    if (args.includes('--version')) return print(packageInfo().version)
    const about = name === 'help' ? (rest.find((arg) => Object.hasOwn(COMMANDS, arg)) ?? '') : ''
    const described = COMMANDS[about]
    if (described !== undefined) return print(commandHelp(about, described))
    if (name === 'help' || args.length === 0 || args.includes('--help') || args.includes('-h')) {
      return print(help(COMMANDS))
    }
    throw new UsageError(
      name === undefined
        ? 'a command is missing'
        : `there is no command ${argument(name)}${suggestion(name, Object.keys(COMMANDS))}`,
    )
  }
  helpful = `${name} `
  const { values, positionals } = parse(rest, command)
  if (values.help === true) return print(commandHelp(name, command))
  const [min, max] = command.arity
  if (positionals.length < min || positionals.length > max) {
    throw new UsageError(`${name} takes ${command.args || 'no arguments'}`)
  }
  return run(command, values, positionals)
}

/** The command: the first argument that is neither an option nor an option's value. */
function split(args: string[]): { name: string | undefined; rest: string[] } {
  const options = GLOBAL as ParseArgsConfig['options']
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true })
  const command = tokens.find((token) => token.kind === 'positional')
  return { name: command?.value, rest: command === undefined ? args : args.toSpliced(command.index, 1) }
}

function parse(args: string[], command: Command): { values: Values; positionals: string[] } {
  const options = { ...GLOBAL, ...command.options } as NonNullable<ParseArgsConfig['options']>
  const { tokens } = parseArgs({ args, options, strict: false, allowPositionals: true, tokens: true })
  for (const token of tokens) {
    if (token.kind !== 'option' || Object.hasOwn(options, token.name)) continue
    const known = Object.keys(options).map((name) => `--${name}`)
    const likely = token.rawName.startsWith('--') ? suggestion(token.rawName, known) : ''
    throw new UsageError(`there is no option ${argument(token.rawName)}${likely}`)
  }
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true }) as ReturnType<typeof parse>
  } catch (error) {
    throw new UsageError(argument((error as Error).message.split('. ')[0] as string))
  }
}

async function run(command: Command, values: Values, args: string[]): Promise<number> {
  const ca = text(values, 'ca')
  const options: EngineOptions = {
    url: text(values, 'url'),
    keyPrefix: text(values, 'prefix'),
    tls: ca === undefined ? undefined : { ca: readFileSync(ca, 'utf8') },
  }
  const config = engineConfig(options, process.env)
  if (config.url === 'memory:' && options.url === undefined && command.needsNoUrl !== true) {
    throw new UsageError('no URL: give --url, or set TIDEMARK_URL, REDIS_URL or KV_URL')
  }
  const controller = new AbortController()
  process.once('SIGINT', () => {
    controller.abort()
    // For work that cannot be aborted and does not end by itself.
    setTimeout(() => process.exit(EXIT.interrupted), ABORT_MS).unref()
  })
  const out = new Output(process.stdout, process.stderr, values.json === true)
  // A reader that closes the pipe (`| head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? EXIT.ok : EXIT.failed)
  })
  const engine = new Engine(config)
  const { signal } = controller
  const address = addressOf(config.url)
  const silence = setTimeout(() => {
    if (engine.state !== 'ready') out.note(`trying to reach ${hostOf(address)} …`)
  }, SILENCE_MS)
  try {
    return await command.run({ engine, config, address, values, args, out, signal })
  } catch (error) {
    if (signal.aborted) return EXIT.interrupted
    throw error
  } finally {
    clearTimeout(silence)
    out.clear()
    await engine.close()
  }
}

/** `host:port` of an address, or the path of a socket. */
function hostOf(address: string): string {
  return address.replace(/^[^/]*\/\//, '').replace(/(?<=.)\/.*$/, '')
}

function print(text: string): number {
  process.stdout.write(`${text}\n`)
  return EXIT.ok
}

/** Errors name `options.olderThan`; on the command line it is `--older-than`. */
function asOption(message: string): string {
  return message.replace(/^options\.(\w+)/, (_, name: string) => {
    return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
  })
}

function report(error: unknown): number {
  const hint = (message: string): number => {
    process.stderr.write(`tidemark: ${message}; see tidemark ${helpful}--help\n`)
    return EXIT.usage
  }
  if (error instanceof UsageError) return hint(error.message)
  if (!(error instanceof TidemarkError)) {
    process.stderr.write(`tidemark: ${argument(error instanceof Error ? error.message : String(error))}\n`)
    return EXIT.failed
  }
  if (error.code === 'ERR_INVALID_ARGUMENT') return hint(asOption(error.message))
  process.stderr.write(`tidemark: ${error.message} (${error.code})\n`)
  if (error.code === 'ERR_CONNECTION') return EXIT.unreachable
  return error.code === 'ERR_NOT_FOUND' ? EXIT.notFound : EXIT.failed
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code
  },
  (error) => {
    process.exitCode = report(error)
  },
)
