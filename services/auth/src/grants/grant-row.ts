import { formatOn, type On } from '@berth/access'
import type { HolderKind } from '../holders/holder.ts'
import type { CopiedKind } from '../objects/object.ts'

/** A grant as the API shows it and events tell it. */
export type GrantRow = {
  id: string
  seq: number
  holderId: string
  holderKind: HolderKind
  holderName: string
  role: string
  /** Null for a built-in role. */
  customVerbs: string[] | null
  everything: boolean
  prefix: string | null
  namespace: string | null
  objectId: string | null
  objectKind: CopiedKind | null
  objectName: string | null
  objectOwnerId: string | null
  createdAt: Date
  createdBy: string
  createdById: string | null
}

export const grantColumns = `access_grant.id, seq, holder_id as "holderId", holder.kind as "holderKind", holder.name as "holderName",
  coalesce(role, custom_role.name) as role, custom_role.verbs as "customVerbs", everything, prefix, namespace,
  object.id as "objectId", object.kind as "objectKind", object.name as "objectName", object.owner_id as "objectOwnerId",
  access_grant.created_at as "createdAt", access_grant.created_by as "createdBy",
  access_grant.created_by_id as "createdById"`

export const grantSource = `access_grant
  join holder on holder.id = holder_id
  left join custom_role on custom_role.id = custom_role_id
  left join object on object.id = object_id`

type Place = Pick<GrantRow, 'everything' | 'prefix' | 'namespace' | 'objectKind' | 'objectName'>

/** What a grant is on, as it is written; an object by the name that it has now. */
export function writtenOn({ everything, prefix, namespace, objectKind, objectName }: Place): string {
  return formatOn(toOn({ everything, prefix, namespace, objectKind, objectName }))
}

function toOn({ everything, prefix, namespace, objectKind, objectName }: Place): On {
  if (everything) return { all: true }
  if (prefix !== null) return { prefix }
  if (namespace !== null) return { kind: 'namespace', name: namespace }
  if (objectKind === null) throw new Error('a grant is on nothing')
  return { kind: objectKind, name: objectName ?? '' }
}

export function showGrant(row: GrantRow) {
  const { id, holderKind, holderName, role, createdAt, createdBy, createdById } = row
  const to = { [holderKind]: holderName } as { [Kind in HolderKind]?: string }
  return { id, to, role, on: writtenOn(row), createdAt: createdAt.toISOString(), createdBy, createdById }
}

/** What events tell of a grant. */
export function toldGrant(row: Omit<GrantRow, 'seq' | 'createdAt' | 'createdBy' | 'createdById'>) {
  const { id, holderId, holderKind, holderName, role } = row
  return { id, to: { kind: holderKind, id: holderId, name: holderName }, role, on: writtenOn(row) }
}
