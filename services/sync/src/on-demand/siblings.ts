import type { InternalClient, Logger } from '@berth/service'

// Replicas come and go, and each may have an address of its own.
const mostSiblings = 64

/** The other replicas of this service, by the address at which each says it can be asked. */
export type Siblings = { at: (address: string) => InternalClient; stop(): Promise<void> }

/** Keeps a client for each of the 64 addresses that were asked last. */
export function createSiblings(open: (address: string) => InternalClient, log: Logger): Siblings {
  const clients = new Map<string, InternalClient>()
  return {
    at: (address) => {
      const known = clients.get(address) ?? open(address)
      clients.delete(address)
      clients.set(address, known)
      const [oldest] = clients
      if (clients.size > mostSiblings && oldest) {
        clients.delete(oldest[0])
        void oldest[1].close().catch((error: unknown) => log.warn('a client did not close', { error }))
      }
      return known
    },
    stop: async () => void (await Promise.all([...clients.values()].map((one) => one.close()))),
  }
}
