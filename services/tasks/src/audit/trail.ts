import type { CommandClient } from '@berth/commands'
import { type AuditCommands, type Database, type Logger, takeAudit } from '@berth/service'
import { type AuditSource, type Collector, createCollector } from './collect.ts'
import { dropMonths } from './months.ts'
import { writeToStdout } from './stdout.ts'
import { storeRows } from './store.ts'

type Peers = Record<'auth' | 'catalog' | 'registry' | 'sync', CommandClient<AuditCommands>>
type Settings = { auditKeptDays?: number | undefined; auditOutput?: 'none' | 'stdout' | undefined }

const patienceMs = 2_000
const defaultKeptDays = 400

/** The audit trail of all services. */
export type AuditTrail = Collector & {
  /** Drops the months whose time is over. */
  forget(): Promise<void>
}

export function createAuditTrail(db: Database, peers: Peers, settings: Settings, log: Logger): AuditTrail {
  const keptDays = settings.auditKeptDays ?? defaultKeptDays
  const write = settings.auditOutput === 'stdout' ? writeToStdout : undefined
  const takeFrom =
    (peer: CommandClient<AuditCommands>): AuditSource =>
    (request) =>
      peer.call('take-audit', request, { timeoutMs: patienceMs })
  const { auth, catalog, registry, sync } = peers
  const sources: Record<string, AuditSource> = {
    auth: takeFrom(auth),
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
  return {
    ...collector,
    forget: async () => {
      for (const table of await dropMonths(db.background, keptDays))
        log.info('a month of the audit trail is over', { table })
    },
  }
}
