import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { BerthPlace } from '../berth/berth.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'
import { startUpstreams, type Upstreams } from './upstreams.ts'

/** Lends what test files use one after another: a Berth to each worker of the run at `URL/berths/WORKER`, and `URL/upstreams`. */
export type Lender = { url: string; stop(): Promise<void> }

type Lent = { place: object; stop(): Promise<void> }

/**
 * Begins to lend: GET tells the place of a thing, which is started when it is asked for the first time, and DELETE ends it.
 * They belong to the run and not to the workers, which jest ends and replaces now and then.
 */
export async function startLender(): Promise<Lender> {
  const lent = new Map<string, Promise<Lent>>()
  const end = async (path: string) => {
    const thing = lent.get(path)
    lent.delete(path)
    // One that did not start needs no stop.
    await thing?.then(
      (started) => started.stop(),
      () => undefined,
    )
  }
  const answer = async (method: string | undefined, path: string): Promise<object> => {
    if (method === 'DELETE') {
      await end(path)
      return {}
    }
    const thing = lent.get(path) ?? start(path)
    lent.set(path, thing)
    return (await thing).place
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
      await Promise.all([...lent.keys()].map(end))
    },
  }
}

async function start(path: string): Promise<Lent> {
  if (path === '/upstreams') {
    const upstreams = await startUpstreams()
    return { place: placesOf(upstreams), stop: () => upstreams.stop() }
  }
  const stack = await startTestStack()
  return { place: placeOf(stack), stop: () => stack.stop() }
}

function placeOf({ url, port, home, pid, password, databaseUrl, output }: TestStack): BerthPlace {
  return { url, port, home, pid, password, databaseUrl, output }
}

function placesOf({ images, open, guarded }: Upstreams & { stop(): Promise<void> }): Upstreams {
  const place = ({ url, host }: Upstreams['open']) => ({ url, host })
  return { images, open: place(open), guarded: place(guarded) }
}
