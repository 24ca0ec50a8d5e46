/** Whether a row of the model belongs to a version, as SQL over its two bounds; what is open belongs to all that come. */
export function heldAt(version: string, row = ''): string {
  const [since, until] = row === '' ? ['since', 'until'] : [`${row}.since`, `${row}.until`]
  return `${since} <= ${version} and (${until} is null or ${until} > ${version})`
}

/** The media type of a manifest in a repository, as SQL over its row there and `facts`: as it was pushed, or what its bytes say. */
export function typeOf(row: string): string {
  return `coalesce(nullif(${row}.pushed_type, ''), facts.media_type)`
}
