import { setTimeout as pause } from 'node:timers/promises'
import type { Berth } from '../berth/berth.ts'
import { pushRandomImage } from '../berth/push.ts'
import type { Acknowledged } from '../berth/pushed-images.ts'
import { basic, getManifest } from '../berth/requests.ts'
import { createPatience, type Patience } from './patience.ts'

/** Clients that push and pull all the time, and try again as container tools do. */
export type Load = Pick<Patience, 'retried' | 'failed'> & {
  readonly acknowledged: readonly Acknowledged[]
  /** How many pulls were answered. */
  readonly pulls: number
  /** Waits until so many more pushes were acknowledged. */
  settle(pushes: number): Promise<void>
  stop(): Promise<void>
}

const idleMs = 500
const layerBytes = [200_000, 3_000]

type Clients = { pushers: number; pullers: number; namespace?: string; known?: readonly Acknowledged[] }

/** Starts so many clients of each kind, each pusher in a repository of its own. They pull what they have pushed, and what is `known`. */
export function startLoad(stack: Berth, { pushers, pullers, namespace = 'load', known = [] }: Clients): Load {
  const acknowledged: Acknowledged[] = []
  const { retried, failed, persist } = createPatience()
  const target = { url: stack.url, authorization: basic(stack) }
  const stopping = new AbortController()
  let pulls = 0

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
      const index = Math.floor(Math.random() * (known.length + acknowledged.length))
      const wanted = known[index] ?? acknowledged[index - known.length]
      if (wanted) {
        await persist(`pull ${wanted.repository}:${wanted.tag}`, () => pullWhole(stack, wanted))
        pulls++
      } else await pause(idleMs)
    }
  }
  const all = Promise.all([
    ...Array.from({ length: pushers }, (_, i) => push(`${namespace}/app-${i}`)),
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
