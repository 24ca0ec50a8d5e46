import { existsSync, renameSync } from 'node:fs'
import path from 'node:path'
import { placeOnce } from './cache.mjs'
import { findOnPath, lastLine, run } from './command.mjs'

export function hasGo() {
  return findOnPath('go') !== undefined
}

/**
 * Builds a Go program once and answers its path in the cache as `<name>-<version>/<name>`.
 * Throws an Error with Go's last line when it cannot be built.
 */
export async function goInstall({ name, version, module, built = name }) {
  const place = await placeOnce(`${name}-${version}`, async (folder) => {
    const env = { ...process.env, GOBIN: folder, CGO_ENABLED: '0', GOFLAGS: '' }
    const { code, output } = await run('go', ['install', `${module}@${version}`], { cwd: folder, env })
    if (code !== 0 || !existsSync(path.join(folder, built))) throw new Error(lastLine(output) || 'go install failed')
    if (built !== name) renameSync(path.join(folder, built), path.join(folder, name))
  })
  return path.join(place, name)
}
