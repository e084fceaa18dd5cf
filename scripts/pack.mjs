// `node scripts/pack.mjs [folder]`: packs what a release publishes, for this platform: the package itself and the package with
// its native binary. Prints the two tarballs' paths. Who installs them gets what a user gets, and nothing of the checkout.

import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { runMain, setup } from './setup.mjs'
import { hashOf, isMain, isStamped, root, run, runSteps, SetupError, stamp } from './steps.mjs'

const STAGE = join(root, '.cache', 'pack')
const PACKED = [
  'package.json',
  'README.md',
  'LICENSE',
  'index.d.ts',
  'index.d.mts',
  'native.cjs',
  'dist',
  'docs/grafana',
  'docs/prometheus',
]

/**
 * The tarballs of this platform; packed again when their content has changed.
 * @returns {Promise<{ name: string, file: string }[]>} the package first
 */
export async function pack() {
  await setup()
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const binary = readdirSync(root).find((name) => /^tidemark\..+\.node$/.test(name))
  if (!binary) throw new SetupError('there is no native addon to pack')
  const platform = binary.slice('tidemark.'.length, -'.node'.length)
  const platformPackage = `${manifest.name}-${platform}`
  const tarballs = [manifest.name, platformPackage].map((name) => ({
    name,
    file: join(STAGE, `${name}-${manifest.version}.tgz`),
  }))

  const inputs = [...PACKED, binary, 'scripts/pack.mjs']
  const packed = () => isStamped('pack', hashOf(inputs)) && tarballs.every(({ file }) => existsSync(file))
  await runSteps([
    {
      name: 'tarballs',
      pending: () => (packed() ? undefined : 'npm pack'),
      run: async () => {
        const hash = hashOf(inputs)
        await stage(manifest, binary, platform)
        stamp('pack', hash)
      },
    },
  ])
  return tarballs
}

/** Makes the two packages and packs them. @param {any} manifest @param {string} binary @param {string} platform */
async function stage(manifest, binary, platform) {
  rmSync(STAGE, { recursive: true, force: true })
  const main = join(STAGE, 'package')
  mkdirSync(main, { recursive: true })
  for (const name of PACKED) cpSync(join(root, name), join(main, name), { recursive: true })
  await run('npx', ['--no-install', 'napi', 'create-npm-dirs', '--cwd', main, '--npm-dir', 'npm'])
  const platforms = join(STAGE, 'npm')
  renameSync(join(main, 'npm'), platforms)
  cpSync(join(root, binary), join(platforms, platform, binary))
  // As `napi prepublish` does for a release.
  const optional = readdirSync(platforms).map((name) => [`${manifest.name}-${name}`, manifest.version])
  writeFileSync(
    join(main, 'package.json'),
    `${JSON.stringify({ ...manifest, scripts: undefined, devDependencies: undefined, optionalDependencies: Object.fromEntries(optional) }, null, 2)}\n`,
  )
  for (const folder of [main, join(platforms, platform)])
    await run('npm', ['pack', folder, '--pack-destination', STAGE, '--loglevel=error'])
}

if (isMain(import.meta.url)) {
  await runMain(async () => {
    const target = process.argv[2]
    for (const { file } of await pack()) {
      if (target) cpSync(file, join(resolve(target), file.slice(STAGE.length + 1)))
      console.log(file)
    }
    return 0
  })
}
