import { announceWork, type Bus } from '@berth/bus'
import { createSignal, type Logger } from '@berth/service'

/** Work that a worker may take now. `occasion` tells one ring for a task from the next, because NATS drops repeated ids. */
export type Ring = { kind: string; id: string; occasion: string }

/** Raised by every transaction that made work which may be taken now. */
export const workWaiting = createSignal<Ring>('work waiting')

export type Doorbell = {
  /** Tells the workers; it is not waited for, because they poll too. */
  ring(rings: readonly Ring[]): void
  stop(): Promise<void>
}

/** Rings for workers without making the caller wait for NATS. */
export function createDoorbell(bus: Bus, log: Logger): Doorbell {
  const underWay = new Set<Promise<void>>()
  return {
    ring: (rings) => {
      for (const { kind, id, occasion } of rings) {
        const ringing = announceWork(bus, kind, `${id}:${occasion}`)
          .catch((error: unknown) => log.warn('workers were not told of a task', { kind, task: id, error }))
          .finally(() => underWay.delete(ringing))
        underWay.add(ringing)
      }
    },
    stop: async () => void (await Promise.all(underWay)),
  }
}
