import { type Database, type Logger, resealAll, type Sealer } from '@berth/service'
import { headersContext, secretContext } from './change-webhooks.ts'

const columns = { sealed_secret: secretContext, sealed_previous: secretContext, sealed_headers: headersContext }

/** Seals what webhooks keep secret anew where it is sealed under a previous key. */
export async function resealWebhooks(db: Database, sealer: Sealer, log: Logger): Promise<void> {
  const { resealed, unreadable } = await resealAll(db, sealer, { table: 'webhook', id: 'id', columns })
  if (resealed > 0) log.info('secrets of webhooks are sealed under the present BERTH_SECRETS_KEY', { resealed })
  if (unreadable.length > 0)
    log.error(
      'secrets of webhooks cannot be opened; name their key in BERTH_SECRETS_PREVIOUS_KEYS or send them again',
      {
        webhooks: unreadable,
      },
    )
}
