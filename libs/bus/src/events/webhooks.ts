import { defineEvent } from './event.ts'
import { text, uuid } from './fields.ts'

type WebhookChanged = { webhookId: string; webhook: string }
const webhook = { webhookId: uuid, webhook: text }

export const webhookEvents = {
  created: defineEvent<WebhookChanged>('tasks', 'webhook.created', 'A webhook was made.', webhook),
  updated: defineEvent<WebhookChanged>('tasks', 'webhook.updated', 'A webhook was changed.', webhook),
  deleted: defineEvent<WebhookChanged>('tasks', 'webhook.deleted', 'A webhook was deleted.', webhook),
  tested: defineEvent<WebhookChanged>(
    'tasks',
    'webhook.tested',
    'Somebody asked whether a webhook arrives; sent to that alone, and not announced.',
    webhook,
  ),
  disabled: defineEvent<WebhookChanged & { reason: string }>(
    'tasks',
    'webhook.disabled',
    'A webhook sends no more, because what it tells failed for a day, or was not wanted any more, or its account is gone.',
    { ...webhook, reason: text },
  ),
}
