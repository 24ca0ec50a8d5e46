import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createForward } from '@berth/standalone/origin'

export type RoundRobin = {
  url: string
  /** `localhost:PORT`, as in image names. */
  host: string
  /** How many requests each replica was given. */
  given(): number[]
  stop(): Promise<void>
}

/**
 * An HTTP proxy on this machine in front of replicas of registry, as a load balancer is: each request under `/v2` goes to the
 * next of them, whatever connection it came by; everything else goes to the front of Berth.
 */
export async function startRoundRobin(target: { replicas: readonly number[]; front: number }): Promise<RoundRobin> {
  const replicas = target.replicas.map(createForward)
  const front = createForward(target.front)
  const counts = replicas.map(() => 0)
  let turn = 0
  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    if (!request.url?.startsWith('/v2')) return front(request, response)
    const index = turn++ % replicas.length
    counts[index] = (counts[index] ?? 0) + 1
    replicas[index]?.(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `localhost:${(server.address() as AddressInfo).port}`
  return {
    url: `http://${host}`,
    host,
    given: () => [...counts],
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
