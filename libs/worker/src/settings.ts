import { integer } from '@berth/service'

/** How long a task stays with a worker that is not heard of; the standalone stack reads this too. A worker beats once a second. */
export const workerSettings = {
  taskLeaseSeconds: integer('BERTH_TASK_LEASE_SECONDS', { min: 3, max: 3_600 }, { fallback: 15 }),
}
