import { startLoop } from '@berth/bus'
import type { Task } from '@berth/commands'
import type { Database, Logger } from '@berth/service'
import { showTask, type TaskRow, taskColumns } from '../queue/row.ts'

/** Is told the state of a task again and again, changed or not. */
type Watcher = { seen(task: Task): void /** The service stops. */; end(): void }

export type Changes = {
  /** Looks after a task from now on; answers how to stop that. */
  watch(id: string, watcher: Watcher): () => void
  /** Looks at once: this replica has just changed a task. */
  wake(): void
  stop(): Promise<void>
}

const pollMs = 300

/**
 * Sees changes of tasks that are watched, whichever replica makes them: one query for all of them every 300 ms, and none
 * while none is watched.
 */
export function startChanges(db: Database, log: Logger): Changes {
  const watched = new Map<string, Set<Watcher>>()
  const loop = startLoop({
    pollMs,
    pauseAfterFailureMs: pollMs * 3,
    onError: (error) => log.warn('watched tasks could not be read', { error }),
    run: async () => {
      if (watched.size === 0) return
      const rows = await db.prepared<TaskRow>(
        'watched-tasks',
        `select ${taskColumns} from task where id = any($1::uuid[])`,
        [[...watched.keys()]],
      )
      for (const row of rows) {
        const task = showTask(row)
        for (const watcher of watched.get(row.id) ?? []) watcher.seen(task)
      }
    },
  })
  return {
    watch: (id, watcher) => {
      const watchers = watched.get(id) ?? new Set()
      watched.set(id, watchers.add(watcher))
      return () => {
        watchers.delete(watcher)
        if (watchers.size === 0 && watched.get(id) === watchers) watched.delete(id)
      }
    },
    wake: loop.wake,
    stop: async () => {
      for (const watchers of watched.values()) for (const watcher of watchers) watcher.end()
      await loop.stop()
    },
  }
}
