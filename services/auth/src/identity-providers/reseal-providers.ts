import { type Database, type Logger, resealAll, type Sealer } from '@berth/service'
import { sealedSecret, secretContext } from './provider.ts'

/** Seals the secrets of providers anew that are sealed under a previous key. */
export async function resealProviders(db: Database, sealer: Sealer, log: Logger): Promise<void> {
  const columns = { [sealedSecret]: secretContext }
  const { resealed, unreadable } = await resealAll(db, sealer, { table: 'identity_provider', id: 'id', columns })
  if (resealed > 0)
    log.info('secrets of identity providers are sealed under the present BERTH_SECRETS_KEY', { resealed })
  if (unreadable.length > 0)
    log.error(
      'secrets of identity providers cannot be opened; name their key in BERTH_SECRETS_PREVIOUS_KEYS or send them again',
      { providers: unreadable },
    )
}
