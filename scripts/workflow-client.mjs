// Finds `WorkflowChatTransport`, the client of `@ai-sdk/workflow`, and installs that package from npm where it is missing.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { installApart, root, SetupError } from './steps.mjs'

/** Its peer is the whole of Workflow, which the client does without: as a dependency of ours it would bring all of that. */
const NAME = '@ai-sdk/workflow'
const VERSION = '2.0.43'
const folder = join(root, '.cache', 'workflow')
const installed = join(folder, 'node_modules', NAME)

/** @returns {string | undefined} the address to import it from */
export function findWorkflowClient() {
  const manifest = join(installed, 'package.json')
  const isThere = existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === VERSION
  return isThere ? pathToFileURL(join(installed, 'dist', 'client.js')).href : undefined
}

export const workflowClientInstallation = `npm install ${NAME}@${VERSION} (in .cache)`

export async function installWorkflowClient() {
  await installApart(folder, `${NAME}@${VERSION}`, '--legacy-peer-deps')
  if (!findWorkflowClient()) throw new SetupError(`${NAME} was installed, but is not there`)
}
