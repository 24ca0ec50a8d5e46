/** An object as rights on it are decided by; the name of a distribution is its base path. */
export type AccessObjectRow = {
  kind: 'repository' | 'distribution' | 'remote'
  id: string
  name: string
  /** What a distribution serves; null for one of a host, and for all that is no distribution. */
  repositoryId: string | null
  /** The distribution of a host by which a distribution came. */
  viaId: string | null
  /** Null: the namespace's, or that of administrators. */
  ownerId: string | null
  /** Whether everybody may pull there. */
  isPublic: boolean
}

/**
 * All objects of a service by which rights are decided, as rows; with `name` those of that name or id, of one `kind` or of any, and with
 * `servesId` the distributions that serve this repository.
 */
export type ListAccessObjects = {
  request: { kind?: AccessObjectRow['kind']; name?: string; servesId?: string }
  reply: AccessObjectRow
}
