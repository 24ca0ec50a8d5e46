import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import path from 'node:path'
import { badField, Problem } from '@berth/service'
import { partialFolder } from './mirror-folder.ts'

/** Where a mirror is copied to, as a request says it. */
export type RsyncTarget = { host: string; user: string; path: string; keyName: string }

/** What of it the settings of the installation allow and know. */
export type RsyncSettings = {
  /** `host` or `host:port`; none: nothing is copied. */
  hosts: readonly string[]
  /** A folder of private keys, each under its name. */
  keys: string | undefined
  /** Public keys of the hosts, as ssh keeps them. */
  knownHosts: string | undefined
}

const userName = /^[a-z_][a-z0-9_-]{0,31}$/
const keyName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/
// Without what a shell on the other side could take for more than a name.
const remotePath = /^\/[A-Za-z0-9._@+/-]{1,1000}$/
const ioSeconds = 120
const mostSaid = 2_000

/** Refuses a target that the settings do not have, or that could be taken for something else. Throws 400 with the field. */
export function checkTarget(target: RsyncTarget, { hosts, keys, knownHosts }: RsyncSettings): void {
  if (hosts.length === 0 || keys === undefined || knownHosts === undefined)
    throw badField(
      'rsync',
      'is not set up here',
      'Set BERTH_RSYNC_HOSTS, BERTH_RSYNC_KEYS_DIR and BERTH_RSYNC_KNOWN_HOSTS for catalog.',
    )
  if (!hosts.includes(target.host))
    throw badField('rsync.host', 'is not allowed here', `BERTH_RSYNC_HOSTS has ${hosts.join(', ')}.`)
  if (!userName.test(target.user)) throw badField('rsync.user', 'is no name of a user')
  if (!keyName.test(target.keyName)) throw badField('rsync.keyName', 'is no name of a file')
  // All of the other host below "/" would be compared with the mirror, and removed.
  const names = target.path.split('/').slice(1)
  if (!remotePath.test(target.path) || names.some((one) => one === '' || /^\.+$/.test(one)))
    throw badField('rsync.path', 'is no absolute path of a directory: letters, digits and ._@+- between single slashes')
}

/** Finds rsync and ssh. Throws 503 with the command that installs them. */
export async function requireRsync(): Promise<void> {
  const folders = (process.env.PATH ?? '').split(path.delimiter).filter(Boolean)
  for (const program of ['rsync', 'ssh']) {
    const found = await Promise.all(
      folders.map((folder) =>
        access(path.join(folder, program), constants.X_OK).then(
          () => true,
          () => false,
        ),
      ),
    )
    if (!found.includes(true))
      throw new Problem(503, 'rsync_missing', `${program} is not installed where Berth runs.`, {
        hint: 'apt-get install rsync openssh-client',
      })
  }
}

/**
 * Copies a mirror to another host: what is new arrives under its names at the end of the copy, and what is gone goes after that. Throws 409
 * `rsync_failed` with what rsync said; the next run goes on.
 */
export async function copyToHost(
  root: string,
  target: RsyncTarget,
  settings: RsyncSettings,
  signal: AbortSignal,
): Promise<void> {
  checkTarget(target, settings)
  await requireRsync()
  const child = spawn('rsync', rsyncArguments(root, target, settings), {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
    signal,
    killSignal: 'SIGTERM',
  })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk.toString('utf8')}`.slice(-mostSaid)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  signal.throwIfAborted()
  if (code !== 0)
    throw new Problem(409, 'rsync_failed', `rsync to ${target.host} ended with ${code}: ${said.trim()}`, {
      hint: 'The mirror itself is written; run it again once the host can be reached.',
    })
}

/** Its arguments: nothing of a request is read as an option, and no shell sees any of it here. */
function rsyncArguments(root: string, target: RsyncTarget, { keys, knownHosts }: RsyncSettings): string[] {
  const [host = '', port = '22'] = target.host.split(':')
  const ssh = [
    'ssh',
    '-F none',
    `-p ${port}`,
    `-i ${quoted(path.join(keys ?? '', target.keyName))}`,
    ...[
      'BatchMode=yes',
      'IdentitiesOnly=yes',
      'StrictHostKeyChecking=yes',
      `UserKnownHostsFile=${knownHosts ?? ''}`,
      'GlobalKnownHostsFile=/dev/null',
      'ConnectTimeout=20',
    ].map((option) => `-o ${quoted(option)}`),
  ].join(' ')
  return [
    '--recursive',
    '--links',
    '--hard-links',
    '--times',
    '--perms',
    '--chmod=D755,F644',
    '--delay-updates',
    '--delete-after',
    '--protect-args',
    `--timeout=${ioSeconds}`,
    `--exclude=/${partialFolder}`,
    `--rsh=${ssh}`,
    '--',
    `${root}/`,
    `${target.user}@${host}:${target.path}/`,
  ]
}

/** As rsync splits what it starts: at spaces, but for what stands in quotes. */
function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`
}
