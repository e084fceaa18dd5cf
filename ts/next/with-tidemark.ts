/**
 * Adds Tidemark to a Next.js configuration: an object, or a function that returns one. Native code cannot be bundled, so
 * this sets `serverExternalPackages: ['tidemark']`.
 *
 * ```ts
 * // next.config.ts
 * export default withTidemark({ reactStrictMode: true })
 * ```
 */
export function withTidemark<Config extends object>(config?: Config): Config {
  if (typeof config !== 'function') return external(config ?? {}) as Config
  const make = config as (...args: unknown[]) => Promise<object>
  const made = async (...args: unknown[]) => external(await make(...args))
  return made as unknown as Config
}

function external(config: { serverExternalPackages?: string[] }): object {
  const packages = new Set(config.serverExternalPackages).add('tidemark')
  return { ...config, serverExternalPackages: [...packages] }
}
