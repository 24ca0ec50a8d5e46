import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder, placeOnce } from './cache.mjs'
import { findOnPath, lastLine, run } from './command.mjs'
import { hasGo } from './go-install.mjs'
import { say } from './say.mjs'

const version = 'v0.34.2'
const module = 'github.com/moby/buildkit'
const programs = ['buildkitd', 'buildctl']

/**
 * Sees to it that the service that builds finds BuildKit: on PATH, in the cache, or built by Go, once. Without it builds are done by
 * buildah, where that is installed, so nothing here stops a start.
 */
export async function ensureBuildkit() {
  if (process.platform !== 'linux' || programs.every((name) => findOnPath(name)) || isCached()) return
  if (!hasGo()) {
    say('no BuildKit on PATH and no Go to build it: builds need buildah, or buildkitd and buildctl on PATH')
    return
  }
  try {
    say(`building BuildKit ${version} with Go, once (some minutes)`)
    await placeOnce(`buildkit-${version}`, buildIn)
  } catch (error) {
    say(`BuildKit could not be built, so builds need buildah: ${error.message}`)
  }
}

function isCached() {
  const places = readdirSync(cacheFolder()).filter((entry) => entry.startsWith('buildkit-v'))
  return places.some((place) => programs.every((name) => existsSync(path.join(cacheFolder(), place, name))))
}

/** Its module replaces others, so `go install` refuses it: it is built as what a module of ours needs. */
async function buildIn(folder) {
  const commands = programs.map((name) => `${module}/cmd/${name}`)
  writeFileSync(path.join(folder, 'go.mod'), 'module berth.invalid/buildkit\n\ngo 1.25\n')
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '' }
  const flags = ['-trimpath', '-ldflags', `-s -w -X ${module}/version.Version=${version}`]
  await go(folder, env, ['get', ...commands.map((command) => `${command}@${version}`)])
  await go(folder, env, ['build', ...flags, '-o', `${folder}/`, ...commands])
}

async function go(cwd, env, args) {
  const { code, output } = await run('go', args, { cwd, env })
  if (code !== 0) throw new Error(lastLine(output) || `go ${args[0]} failed`)
}
