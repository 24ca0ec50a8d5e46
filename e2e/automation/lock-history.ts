/** A task with what it locks: alone (`true`) or together with others. It was queued at some time `from` one `until` another. */
export type Locked = { id: string; locks: ReadonlyMap<string, boolean>; from: number; until: number }
/** A task has changed its state. */
export type Step = { task: string; state: string }

/** Goes through what happened, in its order, and names what must not have. */
export function findViolations(
  tasks: readonly Locked[],
  steps: readonly Step[],
): { atOnce: number; violations: string[] } {
  const byId = new Map(tasks.map((task) => [task.id, task]))
  const violations: string[] = []
  const running = new Map<string, Locked>()
  const began = new Map<string, number>()
  let atOnce = 0
  for (const [place, { task: id, state }] of steps.entries()) {
    const task = byId.get(id)
    if (!task) continue
    if (state !== 'running') {
      running.delete(id)
      continue
    }
    for (const other of running.values()) {
      const resource = conflict(task, other)
      if (resource) violations.push(`${id} got ${resource} beside ${other.id}`)
    }
    running.set(id, task)
    began.set(id, place)
    atOnce = Math.max(atOnce, running.size)
  }
  if (running.size > 0) violations.push(`${running.size} tasks run still`)
  for (const task of tasks) if (!began.has(task.id)) violations.push(`${task.id} never ran`)
  return { atOnce, violations: [...violations, ...outOfOrder(tasks, began)] }
}

/** Of two that exclude each other the one that was queued before the other was sent runs first. */
function outOfOrder(tasks: readonly Locked[], began: ReadonlyMap<string, number>): string[] {
  const wrong: string[] = []
  for (const early of tasks)
    for (const late of tasks) {
      if (early.until >= late.from || (began.get(early.id) ?? 0) < (began.get(late.id) ?? 0)) continue
      const resource = conflict(early, late)
      if (resource) wrong.push(`${late.id} overtook ${early.id} at ${resource}`)
    }
  return wrong
}

function conflict(one: Locked, other: Locked): string | undefined {
  for (const [resource, alone] of one.locks) {
    const otherAlone = other.locks.get(resource)
    if (otherAlone !== undefined && (alone || otherAlone)) return resource
  }
  return undefined
}
