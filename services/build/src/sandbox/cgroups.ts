import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Where cgroups can be made: one folder for both controllers (version 2), or one for each (version 1). */
export type CgroupPlaces = { version: 1 | 2; memory: string; pids: string }

/** The cgroup of one build. */
export type Cgroup = { places: CgroupPlaces; name: string }

/** What a build uses: `anonBytes` are those of its processes, without the files that it keeps in memory. */
export type Usage = {
  processes: number
  anonBytes: number /** How often a process was not started for want of room. */
  refused: number
}

export const cgroupPrefix = 'berth-build-'

/** Where this process may make cgroups that bound memory and processes; null: nowhere. */
export async function findCgroupPlaces(): Promise<CgroupPlaces | null> {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' '))
  const own = (await readFile('/proc/self/cgroup', 'utf8')).split('\n').map((line) => line.split(':'))
  const ownPath = (controller: string) => own.find(([, names = '']) => names.split(',').includes(controller))?.[2]
  const mountOf = (type: string, option?: string) =>
    mounts.find(([, , kind, options = '']) => kind === type && (!option || options.split(',').includes(option)))?.[1]
  const [memory, pids] = [mountOf('cgroup', 'memory'), mountOf('cgroup', 'pids')]
  const candidates: CgroupPlaces[] = []
  if (memory && pids)
    candidates.push({
      version: 1,
      memory: path.join(memory, ownPath('memory') ?? '/'),
      pids: path.join(pids, ownPath('pids') ?? '/'),
    })
  const unified = mountOf('cgroup2')
  if (unified)
    for (const below of new Set([ownPath('') ?? '/', '/'])) {
      const place = path.join(unified, below)
      candidates.push({ version: 2, memory: place, pids: place })
    }
  for (const places of candidates) if (await canMake(places)) return places
  return null
}

async function canMake(places: CgroupPlaces): Promise<boolean> {
  const cgroup = { places, name: `${cgroupPrefix}probe-${process.pid}` }
  try {
    // Where a parent does not hand its controllers down, asking it to costs nothing; where it has processes it refuses.
    if (places.version === 2)
      await writeFile(path.join(places.memory, 'cgroup.subtree_control'), '+memory +pids').catch(() => undefined)
    await makeCgroup(cgroup, { memoryBytes: 1 << 30, processes: 100 })
    return true
  } catch {
    // Whatever refuses it, there is no cgroup to be had here, and builds are bounded by other means.
    return false
  } finally {
    await removeCgroup(cgroup).catch(() => undefined)
  }
}

/** Makes a cgroup with its limits. */
export async function makeCgroup(
  cgroup: Cgroup,
  { memoryBytes, processes }: { memoryBytes: number; processes: number },
): Promise<void> {
  const { version } = cgroup.places
  for (const folder of folders(cgroup)) await mkdir(folder, { recursive: true })
  const set = (kind: 'memory' | 'pids', file: string, value: number) =>
    writeFile(path.join(folderOf(cgroup, kind), file), String(value))
  await set('memory', version === 1 ? 'memory.limit_in_bytes' : 'memory.max', memoryBytes)
  await set('pids', 'pids.max', processes)
}

/** The files that a process writes itself into to be in it. */
export function joinFiles(cgroup: Cgroup): string[] {
  return folders(cgroup).map((folder) => path.join(folder, 'cgroup.procs'))
}

export async function readUsage(cgroup: Cgroup): Promise<Usage> {
  const stat = await readFile(path.join(folderOf(cgroup, 'memory'), 'memory.stat'), 'utf8')
  const field = cgroup.places.version === 1 ? 'total_rss' : 'anon'
  const [processes, events] = await Promise.all(
    ['pids.current', 'pids.events'].map((file) => readFile(path.join(folderOf(cgroup, 'pids'), file), 'utf8')),
  )
  return {
    processes: Number(processes),
    anonBytes: numberAfter(stat, field),
    refused: numberAfter(events ?? '', 'max'),
  }
}

/** Whether the kernel ended a process of it for want of memory. */
export async function wasOutOfMemory(cgroup: Cgroup): Promise<boolean> {
  const file = cgroup.places.version === 1 ? 'memory.oom_control' : 'memory.events'
  return numberAfter(await readFile(path.join(folderOf(cgroup, 'memory'), file), 'utf8'), 'oom_kill') > 0
}

/** Ends what is in it, and removes it. */
export async function removeCgroup(cgroup: Cgroup): Promise<void> {
  for (let left = 200; left > 0; left--) {
    const busy = await Promise.all(folders(cgroup).map(endAndRemove))
    if (!busy.includes(true)) return
    await pause(25)
  }
  throw new Error(`the cgroup ${cgroup.name} still has processes`)
}

/** Whether the folder is still there because something is in it. */
async function endAndRemove(folder: string): Promise<boolean> {
  try {
    const members = await readFile(path.join(folder, 'cgroup.procs'), 'utf8')
    for (const pid of members.split('\n').filter(Boolean)) killOne(Number(pid))
    await rmdir(folder)
    return false
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENODEV') return false
    if (code === 'EBUSY') return true
    throw error
  }
}

function killOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

function folders(cgroup: Cgroup): string[] {
  return [...new Set([folderOf(cgroup, 'memory'), folderOf(cgroup, 'pids')])]
}

function folderOf({ places, name }: Cgroup, kind: 'memory' | 'pids'): string {
  return path.join(places[kind], name)
}

function numberAfter(text: string, name: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1) ?? 0)
}
