import { type Database, type Logger, type Resealed, resealAll, type Sealer } from '@berth/service'
import { type SecretField, sealedColumns, secretContext } from './fields.ts'

/** Seals the secrets of remotes anew that are sealed under a previous key. */
export async function resealRemotes(db: Database, sealer: Sealer, log: Logger): Promise<Resealed> {
  const columns = Object.entries(sealedColumns) as [SecretField, string][]
  const done = await resealAll(db, sealer, {
    table: 'remote',
    id: 'id',
    columns: Object.fromEntries(columns.map(([field, column]) => [column, (id: string) => secretContext(id, field)])),
  })
  const { resealed, unreadable } = done
  if (resealed > 0) log.info('secrets of remotes are sealed under the present BERTH_SECRETS_KEY', { resealed })
  if (unreadable.length > 0)
    log.error('secrets of remotes cannot be opened; name their key in BERTH_SECRETS_PREVIOUS_KEYS or send them again', {
      remotes: unreadable.slice(0, 100),
      count: unreadable.length,
    })
  return done
}
