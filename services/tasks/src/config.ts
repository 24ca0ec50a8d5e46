import { type HostConfig, hostSettings } from '@berth/host'
import { type ConfigOf, integer } from '@berth/service'

/** How long tasks that have ended are shown, in days; the standalone stack reads this too. */
export const taskSettings = {
  taskKeptDays: integer('BERTH_TASK_KEPT_DAYS', { min: 1, max: 3_650 }, { fallback: 30 }),
}

/** What tasks reads from the environment. */
export const tasksSettings = { ...hostSettings('tasks', ['auth']), ...taskSettings }
export type TasksConfig = HostConfig<'auth'> & Partial<ConfigOf<typeof taskSettings>>
