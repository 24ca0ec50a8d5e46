import { readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { cgroupPrefix, findCgroupPlaces, removeCgroup } from './cgroups.ts'
import { findByCommandLine, startOf } from './processes.ts'

/**
 * Removes what builds of a killed service left behind: processes, should the kernel not have ended them, cgroups and folders. What
 * belongs to a service that still runs is left alone.
 */
export async function sweepSandboxes(folder: string): Promise<void> {
  const cgroups = await findCgroupPlaces()
  for (const id of await listFolder(folder)) {
    const place = path.join(folder, id)
    if (await isOwned(place)) continue
    for (const pid of await findByCommandLine(`berth-build:${id}`)) end(pid)
    if (cgroups) await removeCgroup({ places: cgroups, name: `${cgroupPrefix}${id}` })
    await rm(place, { recursive: true, force: true })
  }
}

async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Whether the service that made it still runs. */
async function isOwned(place: string): Promise<boolean> {
  const owner = await readFile(path.join(place, 'owner'), 'utf8').catch(() => '')
  const [pid = '', start = ''] = owner.split(' ')
  return pid !== '' && Number(pid) !== process.pid && (await startOf(Number(pid))) === start
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
