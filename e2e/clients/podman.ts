import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { type Client, runner } from './client.ts'

export type Podman = Client & {
  /** Writes what was pulled into an archive. */
  save(reference: string, file: string, format: string): Promise<void>
}

/** podman with a store of its own; vfs makes no mounts. */
export async function startPodman(): Promise<Podman> {
  const folder = makeTemporaryFolder('podman')
  const at = (name: string) => path.join(folder, name)
  // podman fails on a named file that is not there.
  writeFileSync(at('auth.json'), '{}')
  const places = ['--root', at('root'), '--runroot', at('run'), '--tmpdir', at('tmp'), '--storage-driver', 'vfs']
  const podman = runner('podman', [...places, '--events-backend', 'none', '--log-level', 'error'], {
    REGISTRY_AUTH_FILE: at('auth.json'),
    TMPDIR: folder,
  })
  return {
    name: 'podman',
    login: async (host, login) => {
      if (!login) {
        await podman(['logout', '--all'])
        return
      }
      const flags = ['--tls-verify=false', '--username', login.user, '--password-stdin']
      await podman(['login', ...flags, host], { input: login.password })
    },
    pull: async (reference) => {
      await podman(['pull', '--quiet', '--tls-verify=false', reference])
      return `sha256:${await podman(['image', 'inspect', '--format', '{{.Id}}', reference])}`
    },
    push: async (source, destination) => {
      await podman(['push', '--quiet', '--tls-verify=false', source, destination])
    },
    save: async (reference, file, format) => {
      await podman(['save', '--quiet', '--format', format, '--output', file, reference])
    },
    stop: async () => {
      await podman(['rmi', '--all', '--force'])
      removeFolder(folder)
    },
  }
}
