import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { BerthPlace } from '../berth/berth.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'

/** Lends a Berth to each worker of the run, at `URL/WORKER`. */
export type LentBerths = { url: string; stop(): Promise<void> }

/**
 * Begins to lend: GET tells the place of the worker's Berth, which is started when it is asked for the first time, and
 * DELETE ends it. They belong to the run and not to the workers, which jest ends and replaces now and then.
 */
export async function lendBerths(): Promise<LentBerths> {
  const berths = new Map<string, Promise<TestStack>>()
  const end = async (worker: string) => {
    const berth = berths.get(worker)
    berths.delete(worker)
    // One that did not start needs no stop.
    await berth?.then(
      (stack) => stack.stop(),
      () => undefined,
    )
  }
  const answer = async (method: string | undefined, worker: string): Promise<object> => {
    if (method === 'DELETE') {
      await end(worker)
      return {}
    }
    const berth = berths.get(worker) ?? startTestStack()
    berths.set(worker, berth)
    return placeOf(await berth)
  }
  const server = createServer((request, response) => {
    answer(request.method, request.url ?? '').then(
      (place) => void response.end(JSON.stringify(place)),
      (error: unknown) => void response.writeHead(500).end(String(error)),
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await Promise.all([...berths.keys()].map(end))
    },
  }
}

function placeOf({ url, port, home, pid, password, databaseUrl, output }: TestStack): BerthPlace {
  return { url, port, home, pid, password, databaseUrl, output }
}
