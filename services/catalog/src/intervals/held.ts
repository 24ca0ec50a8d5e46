// The one definition of what an interval says, as SQL over a row of an interval table; in functions of the database it is written
// out again (db/functions/keep-blob.sql, recount-namespace.sql), and registry has its own for its copies (model/held.ts).

/** Whether a row belongs to a version: one that is written out, or the latest's next with what is loose. */
export function heldAt(row: string, version: string): string {
  return `${row}.since <= ${version} and (${row}.until is null or ${row}.until > ${version})`
}

/** Whether a row belongs to a version of one repository. */
export function heldIn(row: string, repository: string, version: string): string {
  return `${row}.repository_id = ${repository} and ${heldAt(row, version)}`
}

/** Whether a row belongs to any version, or is loose. One that ends where it begins is over, and waits to be forgotten. */
export function heldByAny(row: string): string {
  return `(${row}.until is null or ${row}.until > ${row}.since)`
}

/**
 * Whether a row belongs to what is read as the latest of a repository, with what is loose. `readableAt` is the version whose
 * content that is while a rollback is not written out (docs/decisions/0024), a pinned version, or null: then it is what is open.
 */
export function heldNow(row: string, readableAt: string): string {
  return `case when ${readableAt} is null then ${row}.until is null else ${heldAt(row, readableAt)} end`
}
