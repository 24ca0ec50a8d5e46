import type { CommandClient } from '@berth/commands'
import { type AuditCommands, type Database, Gauge, type Logger, type Metrics, takeAudit } from '@berth/service'
import { type AuditSource, type Collector, createCollector } from './collect.ts'
import { dropMonths } from './months.ts'
import { writeToStdout } from './stdout.ts'
import { storeRows } from './store.ts'

type Peers = Record<'auth' | 'build' | 'catalog' | 'registry' | 'sync', CommandClient<AuditCommands>>
type Settings = {
  builds?: boolean | undefined
  auditKeptDays?: number | undefined
  auditOutput?: 'none' | 'stdout' | undefined
}

const patienceMs = 2_000
const defaultKeptDays = 400

/** The audit trail of all services. */
export type AuditTrail = Collector & {
  /** Drops the months whose time is over. */
  forget(): Promise<void>
}

export function createAuditTrail(
  db: Database,
  peers: Peers,
  settings: Settings,
  { log, metrics }: { log: Logger; metrics: Metrics },
): AuditTrail {
  const keptDays = settings.auditKeptDays ?? defaultKeptDays
  const write = settings.auditOutput === 'stdout' ? writeToStdout : undefined
  const takeFrom =
    (peer: CommandClient<AuditCommands>): AuditSource =>
    (request) =>
      peer.call('take-audit', request, { timeoutMs: patienceMs })
  const { auth, build, catalog, registry, sync } = peers
  const sources: Record<string, AuditSource> = {
    auth: takeFrom(auth),
    ...(settings.builds ? { build: takeFrom(build) } : {}),
    catalog: takeFrom(catalog),
    registry: takeFrom(registry),
    sync: takeFrom(sync),
    tasks: (request) => takeAudit(db.background, request),
  }
  const collector = createCollector(
    sources,
    (service, rows) => storeRows(db.background, service, rows, { keptDays, write }),
    log,
  )
  measure(metrics, collector)
  return {
    ...collector,
    forget: async () => {
      for (const table of await dropMonths(db.background, keptDays))
        log.info('a month of the audit trail is over', { table })
    },
  }
}

function measure({ registry }: Metrics, collector: Collector): Gauge {
  return new Gauge({
    name: 'berth_audit_behind_seconds',
    help: 'For how long what a service recorded for the audit trail was not taken.',
    labelNames: ['service'],
    registers: [registry],
    collect() {
      for (const [service, seconds] of collector.behindSeconds()) this.set({ service }, seconds)
    },
  })
}
