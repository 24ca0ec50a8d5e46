import { setTimeout as pause } from 'node:timers/promises'
import type { Berth } from '../berth/berth.ts'
import { pushRandomImage } from '../berth/push.ts'
import type { Acknowledged } from '../berth/pushed-images.ts'
import { basic, getManifest } from '../berth/requests.ts'

/** Clients that push and pull all the time, and try again as container tools do. */
export type Load = {
  readonly acknowledged: readonly Acknowledged[]
  /** How many pulls were answered. */
  readonly pulls: number
  /** What had to be tried again. */
  readonly retried: readonly string[]
  /** What failed as often as a client tries. */
  readonly failed: readonly string[]
  /** Waits until so many more pushes were acknowledged. */
  settle(pushes: number): Promise<void>
  stop(): Promise<void>
}

// docker tries five times, with waits that grow; so do podman, skopeo and containerd, or more often.
const triesAtMost = 5
const firstWaitMs = 500
const layerBytes = [200_000, 3_000]

/** Starts so many clients of each kind, each in a repository of its own. */
export function startLoad(stack: Berth, { pushers, pullers }: { pushers: number; pullers: number }): Load {
  const acknowledged: Acknowledged[] = []
  const retried: string[] = []
  const failed: string[] = []
  const target = { url: stack.url, authorization: basic(stack) }
  const stopping = new AbortController()
  let pulls = 0

  const persist = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    for (let tries = 1, waitMs = firstWaitMs; ; tries++, waitMs *= 2) {
      try {
        return await work()
      } catch (error) {
        const said = `${what}: ${String(error)} ${(error as { cause?: { code?: string } }).cause?.code ?? ''}`
        if (tries === triesAtMost) {
          failed.push(said)
          return undefined
        }
        retried.push(said)
        await pause(waitMs)
      }
    }
  }
  const push = async (repository: string) => {
    for (let i = 0; !stopping.signal.aborted; i++) {
      const tag = `t${i}`
      const pushed = await persist(`push ${repository}:${tag}`, () =>
        pushRandomImage(target, repository, tag, layerBytes),
      )
      if (pushed) acknowledged.push({ repository, tag, digest: pushed.digest })
    }
  }
  const pull = async () => {
    while (!stopping.signal.aborted) {
      const wanted = acknowledged[Math.floor(Math.random() * acknowledged.length)]
      if (!wanted) {
        await pause(firstWaitMs)
        continue
      }
      await persist(`pull ${wanted.repository}:${wanted.tag}`, () => pullWhole(stack, wanted))
      pulls++
    }
  }
  const all = Promise.all([
    ...Array.from({ length: pushers }, (_, i) => push(`load/app-${i}`)),
    ...Array.from({ length: pullers }, () => pull()),
  ])
  all.catch(() => 'told by stop')
  return {
    acknowledged,
    retried,
    failed,
    get pulls() {
      return pulls
    },
    settle: async (pushes) => {
      const from = acknowledged.length
      while (acknowledged.length < from + pushes && failed.length === 0) await pause(100)
    },
    stop: async () => {
      stopping.abort()
      await all
    },
  }
}

async function pullWhole(stack: Berth, { repository, tag, digest }: Acknowledged): Promise<void> {
  const served = await getManifest(`${stack.url}/v2/${repository}/manifests/${tag}`, stack)
  if (served.status !== 200 || served.digest !== digest) throw new Error(`manifest: ${served.status} ${served.text}`)
  const { layers } = JSON.parse(served.text) as { layers: { digest: string; size: number }[] }
  for (const layer of layers) {
    const blob = await fetch(`${stack.url}/v2/${repository}/blobs/${layer.digest}`, {
      headers: { authorization: basic(stack) },
    })
    const bytes = (await blob.arrayBuffer()).byteLength
    if (blob.status !== 200 || bytes !== layer.size) throw new Error(`layer: ${blob.status}, ${bytes} bytes`)
  }
}
