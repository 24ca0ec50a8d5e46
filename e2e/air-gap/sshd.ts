import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { freePort } from '@berth/standalone/children'
import { findProgram } from '../servers/programs.ts'
import { startServerProcess } from '../servers/server-process.ts'

export type Sshd = {
  /** `host:port`, on loopback. */
  host: string
  user: string
  /** What Berth has to be told to copy there. */
  settings: Record<string, string>
  stop(): Promise<void>
}

/** An ssh server of the test's own, which lets us in by a key of its own and by nothing else. */
export async function startSshd(): Promise<Sshd> {
  const program = findProgram('sshd')
  if (!program) throw new Error('sshd is not installed')
  const port = await freePort()
  const user = os.userInfo().username
  let settings: Record<string, string> = {}
  // It wants this folder wherever it separates privileges.
  if (process.geteuid?.() === 0) mkdirSync('/run/sshd', { recursive: true })
  const server = await startServerProcess({
    name: 'sshd',
    program,
    args: (folder) => {
      const keys = path.join(folder, 'keys')
      mkdirSync(keys)
      const make = (file: string) => spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file])
      make(path.join(folder, 'host'))
      make(path.join(keys, 'mirror'))
      writeFileSync(path.join(folder, 'authorized'), readFileSync(path.join(keys, 'mirror.pub')), { mode: 0o600 })
      const [type, key] = readFileSync(path.join(folder, 'host.pub'), 'utf8').split(' ')
      const known = path.join(folder, 'known_hosts')
      writeFileSync(known, `[127.0.0.1]:${port} ${type} ${key}\n`)
      settings = {
        BERTH_RSYNC_HOSTS: `127.0.0.1:${port}`,
        BERTH_RSYNC_KEYS_DIR: keys,
        BERTH_RSYNC_KNOWN_HOSTS: known,
      }
      writeFileSync(
        path.join(folder, 'sshd_config'),
        [
          `ListenAddress 127.0.0.1:${port}`,
          `HostKey ${folder}/host`,
          `AuthorizedKeysFile ${folder}/authorized`,
          `PidFile ${folder}/pid`,
          'PasswordAuthentication no',
          'KbdInteractiveAuthentication no',
          'UsePAM no',
          'StrictModes no',
          'PermitRootLogin prohibit-password',
        ].join('\n'),
      )
      return ['-D', '-e', '-f', path.join(folder, 'sshd_config')]
    },
    isReady: () => isListening(port),
  })
  return { host: `127.0.0.1:${port}`, user, settings, stop: () => server.stop() }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    }).on('error', () => resolve(false))
  })
}
