import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { Account } from './account.ts'
import { type Cgroup, type CgroupPlaces, cgroupPrefix, joinFiles, makeCgroup, removeCgroup } from './cgroups.ts'
import { findByCommandLine, findInit, startOf } from './processes.ts'
import { enterScript, joinScript, stageScript } from './scripts.ts'
import { type Overrun, watchLimits } from './watch-limits.ts'

/** What sandboxes of this machine are made with. */
export type SandboxHost = {
  account: Account
  cgroups: CgroupPlaces | null
  folder: string
  /** For tests: whether builds with egress reach private addresses. */
  allowPrivateEgress?: boolean
}

type SandboxLimits = { seconds: number; memoryBytes: number; processes: number; diskBytes: number }

type Prepared = { shows: ReadonlyMap<string, string>; close(): Promise<void> }

export type SandboxJob = {
  id: string
  /** What of the host can be read inside, by the name that it has under `/host`. */
  shows: ReadonlyMap<string, string>
  limits: SandboxLimits
  /** Opens what goes with the sandbox, in a folder of its own, and says what more is shown. */
  prepare?: ((place: string) => Promise<Prepared>) | undefined
  /** Feeds a tar with `run.sh`, which is run, and whatever else it needs, below `/work/in`. */
  feedInputs: (into: Writable, signal: AbortSignal) => Promise<void>
  /** Feeds what the script reads as file descriptor 5. */
  feedContext: (into: Writable, signal: AbortSignal) => Promise<void>
  /** Takes what the script writes to file descriptor 3. */
  takeResult: (from: Readable) => Promise<void>
  onOutput: (stream: 'stdout' | 'stderr', chunk: Buffer) => void
}

/** How a sandbox ended: by itself, or since it used more than it may. */
export type SandboxEnd = {
  exitCode: number
  overrun: Overrun | null /** The last note that the script wrote. */
  phase: string
}

const backstopSeconds = 15
/** Files of no bytes take memory too. */
const bytesPerInode = 4096

/**
 * Runs a script in a sandbox: as root of a user namespace that is an account without rights outside, with mounts, processes, network
 * and names of its own, and memory of bounded size as the only place that can be written. When this is over, whichever way, no process
 * and no file of it is left; when we are killed the kernel ends it, and the next start sweeps what lies about.
 */
export async function runSandbox(host: SandboxHost, job: SandboxJob, signal: AbortSignal): Promise<SandboxEnd> {
  signal.throwIfAborted()
  const place = path.join(host.folder, job.id)
  const cgroup: Cgroup | null = host.cgroups && { places: host.cgroups, name: `${cgroupPrefix}${job.id}` }
  let prepared: Prepared | undefined
  try {
    await mkdir(path.join(place, 'stage'), { recursive: true, mode: 0o700 })
    await writeFile(path.join(place, 'owner'), `${process.pid} ${await startOf(process.pid)}`)
    if (cgroup) {
      const { memoryBytes, diskBytes, processes } = job.limits
      // What is written lies in memory, and the kernel counts both as one; `watchLimits` keeps processes to their share.
      await makeCgroup(cgroup, { memoryBytes: memoryBytes + diskBytes, processes })
    }
    prepared = await job.prepare?.(place)
    const shows = new Map([...job.shows, ...(prepared?.shows ?? [])])
    return await runIn(host, { ...job, shows }, { cgroup, stage: path.join(place, 'stage') }, signal)
  } finally {
    await prepared?.close()
    if (cgroup) await removeCgroup(cgroup)
    await rm(place, { recursive: true, force: true })
  }
}

type Surroundings = { cgroup: Cgroup | null; stage: string }

async function runIn(
  host: SandboxHost,
  job: SandboxJob,
  around: Surroundings,
  signal: AbortSignal,
): Promise<SandboxEnd> {
  // Cancelled while all was made ready, it would not hear of it any more.
  signal.throwIfAborted()
  const [command = '', ...args] = commandLine(host, job, around)
  const child = spawn(command, args, {
    cwd: '/',
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
  })
  const [stdin, stdout, stderr, result, notes, context] = child.stdio as unknown as [
    Writable,
    Readable,
    Readable,
    Readable,
    Readable,
    Writable,
  ]
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 128))
  })
  let phase = ''
  notes.on('data', (chunk: Buffer) => {
    phase = chunk.toString('latin1').trim().split('\n').at(-1) ?? phase
  })
  stdout.on('data', (chunk: Buffer) => job.onOutput('stdout', chunk))
  stderr.on('data', (chunk: Buffer) => job.onOutput('stderr', chunk))
  let failure: { error: unknown } | undefined
  const stop = (reason?: unknown) => {
    failure ??= reason === undefined ? undefined : { error: reason }
    endSandbox(child).catch((why: unknown) => {
      failure ??= { error: why }
      child.kill('SIGKILL')
    })
  }
  const onAbort = () => stop(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const limits = watchLimits({ pid: child.pid, cgroup: around.cgroup, limits: job.limits, onOverrun: () => stop() })
  const feeding = new AbortController()
  const fed = [stopping(job.feedInputs(stdin, feeding.signal)), stopping(job.feedContext(context, feeding.signal))]
  // What comes of a sandbox that failed breaks off; what it says itself is the better reason.
  let spoilt: { error: unknown } | undefined
  const taken = job.takeResult(result).catch((error: unknown) => {
    spoilt = { error }
    result.resume()
  })
  function stopping(work: Promise<void>): Promise<void> {
    return work.catch((error: unknown) => {
      // A sandbox that ends takes its pipes with it; why it ended is told by itself.
      if (!feeding.signal.aborted && !isBrokenPipe(error)) stop(error)
    })
  }
  try {
    const exitCode = await exited
    feeding.abort()
    // Where unshare(1) may not make namespaces, a helper of its own waits for ever and keeps our pipes open.
    for (const pid of await findByCommandLine(nameOf(job))) kill(pid)
    await Promise.all([
      ...fed,
      taken,
      ...[stdout, stderr, notes].map((stream) => finished(stream).catch(() => undefined)),
    ])
    if (failure) throw failure.error
    const overrun = await limits.end({ failed: exitCode !== 0 })
    if (exitCode === 0 && overrun === null && spoilt)
      throw new Error('the sandbox gave a result that cannot be read', { cause: spoilt.error })
    return { exitCode, overrun, phase }
  } finally {
    await limits.end()
    signal.removeEventListener('abort', onAbort)
  }
}

/** What stands in the command line of each process that leads to a sandbox. */
function nameOf({ id }: SandboxJob): string {
  return `berth-build:${id}`
}

/** From the service to the script inside, each link with fewer rights than the one before. */
function commandLine({ account, cgroups }: SandboxHost, job: SandboxJob, { cgroup, stage }: Surroundings): string[] {
  const { seconds, processes, memoryBytes, diskBytes } = job.limits
  const name = nameOf(job)
  const dies = ['setpriv', '--pdeathsig', 'KILL']
  const limit = [
    'prlimit',
    '--core=0',
    `--fsize=${diskBytes}`,
    // Without a cgroup the kernel counts the processes of the namespace against what its maker may have, and memory by process.
    ...(cgroups ? [] : [`--nproc=${processes}`, `--data=${memoryBytes}`]),
  ]
  const shown = [...job.shows].flatMap(([as, from]) => [from, as])
  const stageIt = ['sh', '-c', stageScript, name, stage, String(job.shows.size), ...shown]
  const tmpfs = `size=${diskBytes},nr_inodes=${Math.min(4_000_000, Math.ceil(diskBytes / bytesPerInode))}`
  const inside = ['unshare', '--user', '--map-auto', '--map-root-user', '--mount', '--pid', '--fork', '--kill-child']
  const apart = ['--net', '--ipc', '--uts', '--cgroup']
  const enter = ['sh', '-c', enterScript, name, tmpfs]
  const timed = ['timeout', '--signal=KILL', String(seconds + backstopSeconds)]
  const become = account.switches ? [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups'] : []
  return [
    'sh',
    '-c',
    joinScript,
    name,
    cgroup ? joinFiles(cgroup).join(' ') : '',
    ...dies,
    ...limit,
    ...(account.switches ? ['unshare', '--mount', ...stageIt] : []),
    ...dies,
    ...become,
    ...timed,
    ...dies,
    ...inside,
    ...apart,
    ...(account.switches ? [] : stageIt),
    ...enter,
  ]
}

/** Ends the first process inside, and with it all others; the chain that leads to it then ends by itself. */
async function endSandbox(child: ChildProcess): Promise<void> {
  for (
    let left = 100;
    left > 0 && child.pid !== undefined && child.exitCode === null && child.signalCode === null;
    left--
  ) {
    const init = await findInit(child.pid)
    if (init === undefined) child.kill('SIGKILL')
    else kill(init)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function isBrokenPipe(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: string }
  return code === 'EPIPE' || code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE'
}
