import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '')

// What a user sets to reach a package registry through a mirror or a proxy; the rest of npm's variables describe the
// outer `npm start` and mislead an npm or pnpm that is started from it.
const kept = /^npm_config_(registry|cafile|ca|proxy|https_proxy|strict_ssl)$/i

/** Removes what `npm start` left in the environment, for this process and all that it starts. */
export function tidyEnvironment() {
  for (const name of Object.keys(process.env)) {
    if (/^npm_/i.test(name) && !kept.test(name)) delete process.env[name]
  }
}

/** The environment for the programs of the checkout: Node 24 first, and the places where Debian puts servers last. */
export function environmentFor(node, extra = {}) {
  const folders = [path.dirname(node), process.env.PATH ?? '', '/usr/local/sbin', '/usr/sbin', '/sbin']
  return { ...process.env, PATH: folders.join(path.delimiter), ...extra }
}
