import { type Cgroup, readUsage, type Usage, wasOutOfMemory } from './cgroups.ts'
import { countTree } from './processes.ts'

/** Of what a build took more than it may. */
export type Overrun = 'time' | 'memory' | 'processes'

type Watched = {
  pid: number | undefined
  cgroup: Cgroup | null
  limits: { seconds: number; memoryBytes: number; processes: number }
  onOverrun: () => void
}

const lookMs = 250
/** A build may touch its limit of processes for a moment; one that stays there gets no further. */
const looksAtMost = 4
/** A program that tries again a few times may get through; one that does so without end is a fork bomb. */
const refusedAtMost = 100

/**
 * Looks after a build while it runs; `end` says what it overran, and may be called again. Of one that failed it also says whether a process
 * was refused before: a shell that may not fork gives up.
 */
export function watchLimits({ pid, cgroup, limits, onOverrun }: Watched): {
  end: (how?: { failed: boolean }) => Promise<Overrun | null>
} {
  let overrun: Overrun | null = null
  let looksAtLimit = 0
  let looking: Promise<void> = Promise.resolve()
  let ended = false
  const over = (what: Overrun) => {
    overrun ??= what
    onOverrun()
  }
  const look = async () => {
    const usage = await usageOf(pid, cgroup)
    if (ended || !usage) return
    if (usage.anonBytes > limits.memoryBytes) return over('memory')
    looksAtLimit = usage.processes >= limits.processes - 1 ? looksAtLimit + 1 : 0
    if (looksAtLimit >= looksAtMost || usage.refused >= refusedAtMost) over('processes')
  }
  let fault: { error: unknown } | undefined
  const looks = setInterval(() => {
    looking = looking.then(look).catch((error: unknown) => {
      // A build whose use cannot be read is not let run on.
      fault = { error }
      onOverrun()
    })
  }, lookMs)
  const clock = setTimeout(() => over('time'), limits.seconds * 1000)
  return {
    end: async ({ failed } = { failed: false }) => {
      clearInterval(looks)
      clearTimeout(clock)
      if (!ended) {
        ended = true
        await looking
        if (fault) throw fault.error
        if (overrun === null && cgroup && (await wasOutOfMemory(cgroup))) overrun = 'memory'
        if (overrun === null && failed && ((await usageOf(pid, cgroup))?.refused ?? 0) > 0) overrun = 'processes'
      }
      return overrun
    },
  }
}

async function usageOf(pid: number | undefined, cgroup: Cgroup | null): Promise<Usage | undefined> {
  try {
    if (cgroup) return await readUsage(cgroup)
    return pid === undefined ? undefined : await countTree(pid)
  } catch (error) {
    // It ended between the look and its reading.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENODEV') return undefined
    throw error
  }
}
