import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { cacheFolder, placeOnce } from './cache.mjs'
import { findOnPath, lastLine, run } from './command.mjs'
import { hasGo } from './go-install.mjs'
import { unpackRelease } from './release.mjs'
import { say } from './say.mjs'

// The newest release whose checksums are known here, and the newest source.
const release = { version: 'v0.33.1', runtime: 'buildkit-runc' }
const checksums = {
  x64: { name: 'amd64', sha256: '4e044bcd62a0c0bbe6a8c94d73989de2bfe4c04dbc0f9d6021cf96b72cd1d965' },
  arm64: { name: 'arm64', sha256: '4e1ba91f139761f249a1fa6c71e632dfdbdafeda416176ecadefbb95225e56c4' },
}
const releases = 'https://github.com/moby/buildkit/releases/download'
const version = 'v0.34.2'
const module = 'github.com/moby/buildkit'
const programs = ['buildkitd', 'buildctl']

const ways = [
  { label: "the makers' release archive", get: fromRelease },
  { label: 'Go', get: fromGo },
]

/**
 * Sees to it that the service that builds finds BuildKit: on PATH, in the cache, from its makers, or built by Go, once. Without it builds
 * are done by buildah, where that is installed, so nothing here stops a start.
 */
export async function ensureBuildkit() {
  if (process.platform !== 'linux' || programs.every((name) => findOnPath(name)) || isCached()) return
  for (const { label, get } of ways) {
    try {
      await get()
      return
    } catch (error) {
      say(`no BuildKit from ${label} (${error.message})`)
    }
  }
  say('builds need buildah, or buildkitd and buildctl on PATH')
}

/** The archive is compared with the checksum that is written here: a release that was changed later is refused. */
export async function fromRelease(from = releases, known = checksums) {
  const { name, sha256 } = known[process.arch] ?? {}
  if (!name) throw new Error(`none for ${process.arch}`)
  const url = `${from}/${release.version}/buildkit-${release.version}.linux-${name}.tar.gz`
  const only = [...programs, release.runtime].map((program) => `bin/${program}`)
  return placeOnce(`buildkit-${release.version}`, (folder) => unpackRelease({ url, sha256, folder, only }))
}

async function fromGo() {
  if (!hasGo()) throw new Error('there is no Go')
  say(`building BuildKit ${version} with Go, once (some minutes)`)
  await placeOnce(`buildkit-${version}`, buildIn)
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
