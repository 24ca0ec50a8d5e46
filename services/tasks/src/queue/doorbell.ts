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

// A worker that is woken goes on until there is nothing left: more rings than these would only have it look again.
const quietMs = 25

/** Rings for workers without making the caller wait for NATS: at once, and of many rings for one kind not for each. */
export function createDoorbell(bus: Bus, log: Logger): Doorbell {
  const underWay = new Set<Promise<void>>()
  const quiet = new Map<string, { timer: NodeJS.Timeout; next: Ring | undefined }>()
  const announce = ({ kind, id, occasion }: Ring) => {
    const ringing = announceWork(bus, kind, `${id}:${occasion}`)
      .catch((error: unknown) => log.warn('workers were not told of a task', { kind, task: id, error }))
      .finally(() => underWay.delete(ringing))
    underWay.add(ringing)
  }
  const ring = (one: Ring) => {
    const pause = quiet.get(one.kind)
    if (pause) {
      pause.next = one
      return
    }
    announce(one)
    const timer = setTimeout(() => {
      const next = quiet.get(one.kind)?.next
      quiet.delete(one.kind)
      if (next) ring(next)
    }, quietMs)
    quiet.set(one.kind, { timer, next: undefined })
  }
  return {
    ring: (rings) => {
      for (const one of rings) ring(one)
    },
    stop: async () => {
      for (const { timer, next } of quiet.values()) {
        clearTimeout(timer)
        if (next) announce(next)
      }
      quiet.clear()
      await Promise.all(underWay)
    },
  }
}
