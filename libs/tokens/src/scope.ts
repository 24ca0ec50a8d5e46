/**
 * Access to one resource, as a token grants it and a `scope` asks for it. `repository`: where that was decided, the id of the one repository
 * that may be changed there, as the base path may serve another one a moment later; null for the one of that name, be it still to be made.
 */
export type Access = { type: string; name: string; actions: string[]; repository?: string | null }

/**
 * Reads one or several scopes, `type:name:action,action`, divided by spaces. Parsed from both ends, because a name may hold
 * a colon (`host:port/name`); a class as in `repository(plugin)` is dropped. What is no scope is left out: a smaller grant is
 * never an error (docker token spec, "Token scope").
 */
export function parseScopes(scopes: readonly string[]): Access[] {
  return scopes
    .flatMap((text) => text.split(' '))
    .flatMap((scope) => {
      const first = scope.indexOf(':')
      const last = scope.lastIndexOf(':')
      if (first <= 0 || last <= first + 1) return []
      const type = scope.slice(0, first).replace(/\([a-z0-9]+\)$/, '')
      const actions = [
        ...new Set(
          scope
            .slice(last + 1)
            .split(',')
            .filter(Boolean),
        ),
      ]
      return [{ type, name: scope.slice(first + 1, last), actions }]
    })
}

/** Whether what is granted under a base path was granted for the repository that it serves now. */
export function isGrantedFor(
  granted: readonly Access[],
  basePath: string,
  served: { repositoryId: string; repositoryName: string } | undefined,
): boolean {
  return granted
    .filter(({ type, name, repository }) => type === 'repository' && name === basePath && repository !== undefined)
    .every(({ repository }) =>
      repository === null
        ? served === undefined || served.repositoryName === basePath
        : served?.repositoryId === repository,
    )
}

/** Writes a scope for a challenge or a token request. */
export function formatScope({ type, name, actions }: Access): string {
  return `${type}:${name}:${actions.join(',')}`
}

/** Whether one of the granted accesses covers an action on a repository. */
export function allows(granted: readonly Access[], repository: string, action: string): boolean {
  return granted.some(
    (access) =>
      access.type === 'repository' &&
      access.name === repository &&
      (access.actions.includes(action) || access.actions.includes('*')),
  )
}
