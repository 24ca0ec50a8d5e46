import { tidyEnvironment } from './environment.mjs'
import { getNode } from './node-and-pnpm.mjs'
import { CannotGoOn } from './say.mjs'
import { commands } from './verbs.mjs'
import { prepareWorkspace } from './workspace.mjs'

/**
 * Prepares what the verb needs, runs it, and answers its exit code.
 * Throws CannotGoOn when something is missing that a person must provide.
 */
export async function main(verb, args) {
  const command = Object.hasOwn(commands, verb ?? '') ? commands[verb] : undefined
  if (!command) {
    throw new CannotGoOn(`usage: node deploy/bootstrap/run.mjs ${Object.keys(commands).join('|')} [arguments]`)
  }
  tidyEnvironment()
  const node = await getNode()
  await prepareWorkspace(node)
  return command(node, args)
}
