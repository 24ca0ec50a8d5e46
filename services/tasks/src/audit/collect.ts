import { setTimeout as delay } from 'node:timers/promises'
import type { AuditCommands, AuditRow, Logger } from '@berth/service'

/** Where a service's rows come from: what is stored is deleted there, and the next ones are answered. */
export type AuditSource = (request: AuditCommands['take-audit']['request']) => Promise<{ rows: AuditRow[] }>

export type Collector = {
  /** Takes what there is of all services that answer. */
  collect(): Promise<void>
  /** Waits a while for all that was recorded before; answers the services that did not answer. */
  upToDate(): Promise<string[]>
  /** For how many seconds what each service has recorded was not taken. */
  behindSeconds(): [service: string, seconds: number][]
}

const patienceMs = 1_000

/**
 * Brings what services have recorded into one table. A row is deleted where it was recorded only once it is stored here, so that neither
 * loses it when it is killed; what is taken twice is stored once.
 */
export function createCollector(
  sources: Readonly<Record<string, AuditSource>>,
  store: (service: string, rows: readonly AuditRow[]) => Promise<void>,
  log: Logger,
): Collector {
  const away = new Set<string>()
  const takenAt = new Map(Object.keys(sources).map((service) => [service, performance.now()]))
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined

  const collectOf = async (service: string, take: AuditSource) => {
    try {
      for (let stored: number[] = []; ; ) {
        const { rows } = await take({ stored })
        if (rows.length === 0) break
        await store(service, rows)
        stored = rows.map(({ number }) => number)
      }
      away.delete(service)
      takenAt.set(service, performance.now())
    } catch (error) {
      if (!away.has(service))
        log.warn('what a service recorded for the audit trail is collected later', { service, error })
      away.add(service)
    }
  }
  const begin = () => {
    const all = Object.entries(sources).map(([service, take]) => collectOf(service, take))
    running = Promise.all(all).then(() => {
      running = undefined
    })
    return running
  }
  /** One that begins after this call: one that is under way may have looked before. */
  const collect = () => {
    if (!running) return begin()
    next ??= running.then(() => {
      next = undefined
      return begin()
    })
    return next
  }
  return {
    collect,
    behindSeconds: () => [...takenAt].map(([service, at]) => [service, (performance.now() - at) / 1_000]),
    upToDate: async () => {
      const done = new AbortController()
      const patience = delay(patienceMs, undefined, { signal: done.signal }).catch(() => 'done')
      await Promise.race([collect(), patience])
      done.abort()
      return [...away].sort()
    },
  }
}
