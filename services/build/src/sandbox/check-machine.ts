import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { padding, tarEnd, writeHeader } from '../context/tar-header.ts'
import { feed } from './feed.ts'
import { runSandbox, type SandboxHost } from './run-sandbox.ts'

const run = promisify(execFile)

/** The programs that sandboxes are made with, and the packages of Debian that have them. */
const programs = {
  setpriv: 'util-linux',
  unshare: 'util-linux',
  prlimit: 'util-linux',
  mount: 'mount',
  pivot_root: 'util-linux',
  timeout: 'coreutils',
  tar: 'tar',
  newuidmap: 'uidmap',
  newgidmap: 'uidmap',
} as const

const switches = [
  {
    file: '/proc/sys/kernel/unprivileged_userns_clone',
    is: '0',
    command: 'sysctl -w kernel.unprivileged_userns_clone=1',
  },
  {
    file: '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
    is: '1',
    command: 'sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
  },
  { file: '/proc/sys/user/max_user_namespaces', is: '0', command: 'sysctl -w user.max_user_namespaces=15000' },
]

/** What this machine lacks for a sandbox, with the commands that mend it; nothing of it is changed here. */
export async function findLack(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'builds need Linux'
  const lacking: string[] = []
  for (const [name, source] of Object.entries(programs)) if (!(await findProgram(name))) lacking.push(source)
  if (lacking.length > 0) return `programs are missing: apt-get install ${[...new Set(lacking)].join(' ')}`
  for (const name of ['newuidmap', 'newgidmap']) {
    const file = (await findProgram(name)) ?? ''
    if (((await stat(file)).mode & 0o4000) === 0 && !(await hasCapabilities(file)))
      return `${file} may not do its work: chmod u+s ${file}`
  }
  for (const { file, is, command } of switches)
    if ((await readOrNothing(file)).trim() === is) return `this machine lets nobody make user namespaces: ${command}`
  return undefined
}

/** Makes a sandbox that does nothing; answers what stood in the way. */
export async function tryHost(host: SandboxHost, id: string): Promise<string | undefined> {
  let said = ''
  const script = Buffer.from('echo done >&4\n')
  const header = writeHeader({ name: 'run.sh', type: '0', mode: 0o600, size: script.length, mtime: 0, linkName: '' })
  const inputs = Buffer.concat([header, script, padding(script.length), tarEnd])
  const end = await runSandbox(
    host,
    {
      id,
      shows: new Map(),
      limits: { seconds: 20, memoryBytes: 64 << 20, processes: 50, diskBytes: 16 << 20 },
      feedInputs: (into, ended) => feed([inputs], into, ended),
      feedContext: async (into) => void into.end(),
      takeResult: (from) => pipeline(from, new Writable({ write: (_chunk, _encoding, done) => done() })),
      onOutput: (_, chunk) => {
        said = (said + chunk.toString('utf8')).slice(-2000)
      },
    },
    new AbortController().signal,
  )
  if (end.exitCode === 0 && end.phase === 'done') return undefined
  const why = said.trim().split('\n').slice(-3).join('; ') || `exit code ${end.exitCode}`
  const inContainer =
    'in a container it needs --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined'
  return `no sandbox can be made (${why}); ${inContainer}, and no limit on user namespaces`
}

// As the sandbox itself looks for them, whatever the PATH of the service is.
const places = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

async function findProgram(name: string): Promise<string | undefined> {
  for (const place of places) {
    const file = path.join(place, name)
    const found = await stat(file).catch(() => undefined)
    if (found?.isFile()) return file
  }
  return undefined
}

/** A file capability does the same as the bit (capabilities(7)). */
async function hasCapabilities(file: string): Promise<boolean> {
  try {
    const { stdout } = await run('getcap', [file])
    return /cap_set[ug]id/.test(stdout)
  } catch {
    // Without getcap nothing can be said against it; the first sandbox shows whether it works.
    return true
  }
}

async function readOrNothing(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
