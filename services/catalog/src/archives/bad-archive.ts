/** What a reader refuses an archive for: `newer_format` where a newer Berth reads it, `bad_archive` for all that is wrong with it. */
export type BadArchiveCode = 'newer_format' | 'bad_archive'

/** An archive, or a part of it, that cannot be taken. `place` says where: a member, a line or a field of it. */
export class BadArchive extends Error {
  override name = 'BadArchive'
  readonly code: BadArchiveCode
  readonly place: string

  constructor(place: string, reason: string, code: BadArchiveCode = 'bad_archive') {
    super(`${place} ${reason}`)
    this.code = code
    this.place = place
  }
}
