const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const repositoryName = new RegExp(`^${component}(?:/${component})*$`)
const tag = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

/**
 * Longest repository name in characters; clients keep host and name together within 255 (distribution-spec, "Pulling
 * manifests").
 */
export const repositoryNameLimit = 255

/** Whether the text is a repository name: lower-case components joined by slashes (distribution-spec, "Pulling manifests"). */
export function isRepositoryName(text: string): boolean {
  return text.length <= repositoryNameLimit && repositoryName.test(text)
}

/** Longest tag in characters (distribution-spec, "Pulling manifests"). */
export const tagLimit = 128

/** Whether the text is a tag; case counts (distribution-spec, "Pulling manifests"). */
export function isTag(text: string): boolean {
  return tag.test(text)
}
