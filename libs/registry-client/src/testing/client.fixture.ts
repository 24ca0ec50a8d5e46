import { createRegistryClient, type RegistryClient, type RegistryClientOptions } from '../client.ts'
import type { UpstreamError } from '../egress/upstream-error.ts'
import {
  type Image,
  imageOf,
  type MisbehavingUpstream,
  startMisbehavingUpstream,
} from '../misbehaving-upstream/index.ts'
import { createHostGates } from '../rate-limits/host-gates.ts'
import { createTokenCache } from '../tokens/token-cache.ts'

export const repository = 'library/alpine'

/** An upstream with one image, and clients of it that do not wait long. */
export type Scene = {
  upstream: MisbehavingUpstream
  image: Image
  client(more?: Partial<RegistryClientOptions>): RegistryClient
  close(): Promise<void>
}

export async function startScene(): Promise<Scene> {
  const upstream = await startMisbehavingUpstream()
  const image = imageOf('one', 100_000)
  upstream.add(repository, 'latest', image)
  const clients: RegistryClient[] = []
  // Of their own: another scene may get the port that this one had.
  const shared = { tokens: createTokenCache(), gates: createHostGates() }
  return {
    upstream,
    image,
    client: (more = {}) => {
      const timeouts = { connectMs: 1_000, headersMs: 300, idleMs: 300 }
      const client = createRegistryClient({
        url: upstream.url,
        retries: 1,
        allowPrivateAddresses: true,
        redirectHosts: ['localhost'],
        timeouts,
        ...shared,
        ...more,
      })
      clients.push(client)
      return client
    },
    close: async () => {
      await Promise.all(clients.map((client) => client.close()))
      await upstream.close()
    },
  }
}

export async function readAll(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** How it failed, in what a caller goes by. */
export async function failure(work: Promise<unknown>): Promise<UpstreamError> {
  try {
    await work
  } catch (error) {
    return error as UpstreamError
  }
  throw new Error('it went well')
}
