import { type HostConfig, hostSettings } from '@berth/host'
import { type ConfigOf, integer } from '@berth/service'

/** How long tasks that have ended are shown, in days; the standalone stack reads this too. */
export const taskSettings = {
  taskKeptDays: integer('BERTH_TASK_KEPT_DAYS', { min: 1, max: 3_650 }, { fallback: 30 }),
}

/** The services that tasks asks: what schedules are for is done by those that own it. */
export const peers = ['auth', 'catalog', 'registry', 'sync'] as const

/** What tasks reads from the environment. */
export const tasksSettings = { ...hostSettings('tasks', peers), ...taskSettings }
export type TasksConfig = HostConfig<(typeof peers)[number]> & Partial<ConfigOf<typeof taskSettings>>
