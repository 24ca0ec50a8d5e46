import { startLoop } from '@berth/bus'
import type { CatalogCommands, CommandClient, LastPull } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Logger } from '@berth/service'

const sendEveryMs = 300_000
const pauseAfterFailureMs = 10_000
const sentAtOnce = 1_000
// Some 30 MB at worst, and twice that while they are being sent.
const mostKept = 100_000
// Catalog may be stopping too; what is not sent by then is lost, and the next pull tells it again.
const lastSendMs = 2_000

/** What is remembered of pulls until catalog has it. */
export type LastPulls = {
  /** Notes a pull that has just come, by tag or by digest alone. In memory only, so that no pull waits for it. */
  note(repositoryId: string, pulled: { tag: string | undefined; digest: Digest }): void
  /** Sends what is there, if catalog takes it soon. */
  stop(): Promise<void>
}

type Times = { tags: Map<string, number>; manifests: Map<string, number> }

/**
 * Gathers when tags and manifests were pulled last and sends them to catalog in batches. While catalog is away they are kept,
 * up to a bound: what is known goes on being noted, new names are then left out, and the log says how many.
 */
export function gatherPulls(options: {
  catalog: CommandClient<CatalogCommands>
  log: Logger
  sendEveryMs?: number | undefined
  mostKept?: number | undefined
}): LastPulls {
  const { catalog, log } = options
  const most = options.mostKept ?? mostKept
  // With as much free as is kept, there is time to send before names are left out.
  const half = Math.ceil(most / 2)
  let wake = () => {}
  let gathered = new Map<string, Times>()
  let kept = 0
  let leftOut = 0

  const noteTime = (times: Map<string, number>, name: string, at: number) => {
    const known = times.get(name)
    if (known === undefined && kept >= most) {
      leftOut++
      return
    }
    if (known === undefined && ++kept === half) wake()
    if (known === undefined || known < at) times.set(name, at)
  }
  const timesOf = (repositoryId: string): Times => {
    const known = gathered.get(repositoryId)
    if (known) return known
    const made = { tags: new Map<string, number>(), manifests: new Map<string, number>() }
    gathered.set(repositoryId, made)
    return made
  }
  const keepAgain = (pulls: readonly LastPull[]) => {
    for (const { repositoryId, tag, digest, at } of pulls) {
      const { tags, manifests } = timesOf(repositoryId)
      if (tag !== undefined) noteTime(tags, tag, at)
      if (digest !== undefined) noteTime(manifests, digest, at)
    }
  }
  const send = async (more: { signal?: AbortSignal; timeoutMs?: number }) => {
    if (kept === 0) return
    const pulls = [...gathered].flatMap(listPulls)
    gathered = new Map()
    kept = 0
    for (let sent = 0; sent < pulls.length; sent += sentAtOnce) {
      try {
        await catalog.call('record-pulls', { pulls: pulls.slice(sent, sent + sentAtOnce) }, more)
      } catch (error) {
        keepAgain(pulls.slice(sent))
        throw error
      }
    }
    if (leftOut > 0) log.warn('more was pulled than is kept; the times of some pulls are lost', { leftOut })
    leftOut = 0
  }
  const sending = startLoop({
    pollMs: options.sendEveryMs ?? sendEveryMs,
    pauseAfterFailureMs: Math.min(options.sendEveryMs ?? sendEveryMs, pauseAfterFailureMs),
    onError: (error) => log.warn('the times of last pulls will be sent again', { error }),
    run: (signal) => send({ signal }),
  })

  wake = sending.wake

  return {
    note: (repositoryId, { tag, digest }) => {
      const at = Date.now()
      const { tags, manifests } = timesOf(repositoryId)
      if (tag !== undefined) noteTime(tags, tag, at)
      noteTime(manifests, digest, at)
    },
    stop: async () => {
      await sending.stop()
      await send({ timeoutMs: lastSendMs })
    },
  }
}

function listPulls([repositoryId, { tags, manifests }]: [string, Times]): LastPull[] {
  return [
    ...[...tags].map(([tag, at]) => ({ repositoryId, tag, at })),
    ...[...manifests].map(([digest, at]) => ({ repositoryId, digest: digest as Digest, at })),
  ]
}
