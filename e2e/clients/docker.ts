import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { findProgram } from '../servers/programs.ts'
import { answersSocket, startServerProcess } from '../servers/server-process.ts'
import { type Client, runner } from './client.ts'

/** Why docker cannot be tested here; undefined when it can. */
export function dockerMissing(): string | undefined {
  const missing = ['docker', 'dockerd'].filter((program) => !findProgram(program))
  if (missing.length > 0) return `${missing.join(', ')} not installed`
  return process.geteuid?.() === 0 ? undefined : 'dockerd needs root'
}

// Nothing listens there: what would leave this machine fails at once.
const nowhere = 'http://127.0.0.1:9'

/**
 * docker with a daemon of its own that touches neither the network nor the firewall of the machine. `settings` is the text of its
 * `daemon.json`; with `runsContainers` layers are shared by those that it runs, else each would be copied for each.
 */
export async function startDocker(
  settings = '{}',
  { runsContainers = false } = {},
): Promise<Client & { env: { DOCKER_HOST: string; DOCKER_CONFIG: string } }> {
  const program = findProgram('dockerd')
  if (!program) throw new Error('dockerd is not installed')
  let socket = ''
  const daemon = await startServerProcess({
    name: 'dockerd',
    program,
    args: (folder) => {
      socket = path.join(folder, 'sock')
      const file = path.join(folder, 'daemon.json')
      writeFileSync(file, settings)
      const places = { 'data-root': 'data', 'exec-root': 'exec', pidfile: 'pid' }
      const flags = Object.entries(places).map(([flag, name]) => `--${flag}=${path.join(folder, name)}`)
      const alone = [
        '--iptables=false',
        '--ip6tables=false',
        '--bridge=none',
        `--storage-driver=${runsContainers ? 'overlay2' : 'vfs'}`,
      ]
      return [`--host=unix://${socket}`, `--config-file=${file}`, ...flags, ...alone]
    },
    env: { HTTP_PROXY: nowhere, HTTPS_PROXY: nowhere, NO_PROXY: 'localhost,127.0.0.1' },
    isReady: () => answersSocket(socket, '/_ping'),
  })
  const docker = runner('docker', ['--config', path.join(daemon.folder, 'config'), '--host', `unix://${socket}`])
  return {
    name: 'docker',
    /** The environment in which a shell finds this `docker`. */
    env: { DOCKER_HOST: `unix://${socket}`, DOCKER_CONFIG: path.join(daemon.folder, 'config') },
    login: async (host, login) => {
      if (!login) {
        await docker(['logout', host])
        return
      }
      await docker(['login', '--username', login.user, '--password-stdin', host], { input: login.password })
    },
    pull: async (reference) => {
      await docker(['pull', '--quiet', reference])
      return docker(['image', 'inspect', '--format', '{{.Id}}', reference])
    },
    push: async (source, destination) => {
      await docker(['tag', source, destination])
      await docker(['push', '--quiet', destination])
    },
    stop: async () => {
      // The name space of the network that containers have shared with the machine stays mounted there.
      if (runsContainers) spawnSync('umount', ['--lazy', path.join(daemon.folder, 'exec', 'netns', 'default')])
      await daemon.stop()
    },
  }
}
