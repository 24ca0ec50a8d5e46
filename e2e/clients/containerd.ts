import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { findProgram, missingPrograms } from '../servers/programs.ts'
import { startServerProcess } from '../servers/server-process.ts'
import { type Run, runner } from './client.ts'

/** Why containerd cannot be tested here; undefined when it can. */
export function containerdMissing(): string | undefined {
  const missing = missingPrograms('containerd', 'ctr')
  if (missing.length > 0) return `${missing.join(', ')} not installed`
  return process.geteuid?.() === 0 ? undefined : 'containerd needs root'
}

export type Containerd = {
  /** `ctr` against this daemon. */
  ctr: Run
  /** Of its socket. */
  address: string
  /** The folder of `hosts.toml` files, for `--hosts-dir`. */
  hostsFolder: string
  /** Where images named `host/…` are fetched from, over plain HTTP. */
  setHost(host: string, server: string): void
  stop(): Promise<void>
}

const quiet = ['io.containerd.grpc.v1.cri', 'io.containerd.internal.v1.opt', 'io.containerd.snapshotter.v1.devmapper']

/** containerd with a root, a state and a socket of its own; it runs no containers and touches no network. */
export async function startContainerd(): Promise<Containerd> {
  const program = findProgram('containerd')
  if (!program) throw new Error('containerd is not installed')
  let address = ''
  const daemon = await startServerProcess({
    name: 'containerd',
    program,
    args: (folder) => {
      address = path.join(folder, 'sock')
      const settings = [
        'version = 2',
        `root = ${JSON.stringify(path.join(folder, 'root'))}`,
        `state = ${JSON.stringify(path.join(folder, 'state'))}`,
        `disabled_plugins = ${JSON.stringify(quiet)}`,
        `[grpc]\naddress = ${JSON.stringify(address)}`,
      ]
      writeFileSync(path.join(folder, 'config.toml'), settings.join('\n'))
      return ['--config', path.join(folder, 'config.toml')]
    },
    isReady: () =>
      runner('ctr', ['--address', address])(['version']).then(
        () => true,
        // Not listening yet.
        () => false,
      ),
  })
  const hostsFolder = path.join(daemon.folder, 'hosts')
  return {
    ctr: runner('ctr', ['--address', address]),
    address,
    hostsFolder,
    setHost: (host, server) => {
      // containerd writes the colon of a port like this in a folder's name.
      const folder = path.join(hostsFolder, host.replace(/:(\d+)$/, '_$1_'))
      mkdirSync(folder, { recursive: true })
      const text = `server = "${server}"\n[host."${server}"]\ncapabilities = ["pull", "resolve", "push"]\n`
      writeFileSync(path.join(folder, 'hosts.toml'), text)
    },
    stop: () => daemon.stop(),
  }
}
