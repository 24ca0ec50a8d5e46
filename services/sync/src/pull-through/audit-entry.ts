import type { Actor, AuditEntry } from '@berth/service'

/** What the audit trail is told of what a pull brings here: `id` is that of its stage, for several requests may wait for one. */
export function auditEntryOf(
  { name, actor, detail }: { name: string; actor: Actor; detail: string },
  id: string,
): AuditEntry {
  const object = { kind: 'repository', id: null, name }
  return { action: 'pull-through', actor, object, detail, address: null, requestId: id }
}
