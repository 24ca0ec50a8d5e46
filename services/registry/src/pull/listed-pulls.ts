import type { CatalogCommands, CommandClient } from '@berth/commands'
import { type Database, type Recorded, recordCounts, recordedAs } from '@berth/service'
import { auditEntryOf } from '../exchange/audit-entry.ts'
import type { NamedExchange } from '../exchange/exchange.ts'

const mostKept = 10_000

/** Pulls from namespaces that want each of them listed in the audit trail. */
export type ListedPulls = {
  /** Notes one, where its namespace wants that. In memory only, so that no pull waits for it; elsewhere it costs a look. */
  note(exchange: NamedExchange, repositoryName: string, pulled: { tag: string | undefined; digest: string }): void
  /** Learns which namespaces want it. */
  refresh(signal?: AbortSignal): Promise<void>
  /** Records what was noted. */
  record(): Promise<void>
}

/** While they cannot be recorded 10,000 are kept, and the rest is counted together. */
export function createListedPulls(db: Database, catalog: CommandClient<CatalogCommands>): ListedPulls {
  let namespaces: ReadonlySet<string> = new Set()
  let kept: Recorded[] = []
  let beyond: Recorded | undefined

  const keep = (entry: Recorded) => {
    if (kept.length < mostKept) kept.push(entry)
    else if (beyond) beyond.count += entry.count
    else beyond = { ...entry, actor: { id: null, name: 'others' }, detail: null, address: null }
  }
  return {
    note: (exchange, repositoryName, { tag, digest }) => {
      if (namespaces.size === 0 || !namespaces.has(repositoryName.split('/', 1)[0] ?? '')) return
      const entry = auditEntryOf(exchange, 'v2.manifest.get', tag === undefined ? digest : `${tag} ${digest}`)
      // Of the repository whose namespace asked for it, under whatever name it was pulled.
      keep(recordedAs({ ...entry, object: { ...entry.object, name: repositoryName } }))
    },
    refresh: async (signal) => {
      const { names } = await catalog.call('list-audited-namespaces', {}, signal ? { signal } : {})
      namespaces = new Set(names)
    },
    record: async () => {
      if (kept.length === 0) return
      const taken = beyond ? [...kept, beyond] : kept
      kept = []
      beyond = undefined
      try {
        await recordCounts(db, taken)
      } catch (error) {
        for (const entry of taken) keep(entry)
        throw error
      }
    },
  }
}
