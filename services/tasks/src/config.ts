import { type HostConfig, hostSettings } from '@berth/host'
import { type ConfigOf, choice, flag, integer, secretsSettings } from '@berth/service'
import { scheduleSettings } from './schedules/default-schedules.ts'
import { webhookSettings } from './webhooks/settings.ts'

/** How long tasks that have ended are shown, in days; the standalone stack reads this too. */
export const taskSettings = {
  ...webhookSettings,
  /** Whether there are builds, of which build tells. */
  builds: flag('BERTH_BUILDS', { fallback: false }),
  taskKeptDays: integer('BERTH_TASK_KEPT_DAYS', { min: 1, max: 3_650 }, { fallback: 30 }),
}

/** How long the audit trail is kept, in days, and where else it goes; the standalone stack reads this too. */
export const auditSettings = {
  auditKeptDays: integer('BERTH_AUDIT_KEPT_DAYS', { min: 1, max: 36_500 }, { fallback: 400 }),
  auditOutput: choice('BERTH_AUDIT_OUTPUT', ['none', 'stdout'], { fallback: 'none' }),
}

/** The services that tasks asks: what schedules are for is done by those that own it. */
export const peers = ['auth', 'build', 'catalog', 'registry', 'sync'] as const

/** What tasks reads from the environment. */
export const tasksSettings = {
  ...hostSettings('tasks', peers),
  ...secretsSettings,
  ...taskSettings,
  ...auditSettings,
  ...scheduleSettings,
}
export type TasksConfig = HostConfig<(typeof peers)[number]> &
  Partial<ConfigOf<typeof taskSettings & typeof auditSettings & typeof scheduleSettings>> & {
    secretsKey: string
    secretsPreviousKeys?: string | undefined
  }
