export const serviceNames = ['auth', 'catalog', 'registry', 'tasks', 'sync', 'build'] as const
export type ServiceName = (typeof serviceNames)[number]

/** Who answers what in the one public origin. deploy/ has the same table for a reverse proxy and an ingress. */
export const publicRoutes: readonly (readonly [prefix: string, service: ServiceName])[] = [
  ['/v2', 'registry'],
  ['/extensions', 'registry'],
  ['/token', 'auth'],
  ['/api/v1/users', 'auth'],
  ['/api/v1/groups', 'auth'],
  ['/api/v1/robots', 'auth'],
  ['/api/v1/roles', 'auth'],
  ['/api/v1/grants', 'auth'],
  ['/api/v1/me', 'auth'],
  ['/api/v1/sessions', 'auth'],
  ['/api/v1/oidc', 'auth'],
  ['/api/v1/identity-providers', 'auth'],
  ['/api/v1/trusts', 'auth'],
  ['/api/v1/keys', 'auth'],
  ['/api/v1/access', 'auth'],
  ['/api/v1/repositories', 'catalog'],
  ['/api/v1/distributions', 'catalog'],
  ['/api/v1/namespaces', 'catalog'],
  ['/api/v1/store', 'catalog'],
  ['/api/v1/exports', 'catalog'],
  ['/api/v1/imports', 'catalog'],
  ['/api/v1/mirrors', 'catalog'],
  ['/api/v1/remotes', 'sync'],
  ['/api/v1/syncs', 'sync'],
  ['/api/v1/tasks', 'tasks'],
  ['/api/v1/schedules', 'tasks'],
  ['/api/v1/dead-letters', 'tasks'],
  ['/api/v1/events', 'tasks'],
  ['/api/v1/webhooks', 'tasks'],
  ['/api/v1/audit', 'tasks'],
  ['/api/v1/builds', 'build'],
]

/** The service that answers a path; `undefined` for none. A prefix ends at a segment: `/v2` is not `/v20`. */
export function serviceFor(path: string): ServiceName | undefined {
  return publicRoutes.find(([prefix]) => path === prefix || path.startsWith(`${prefix}/`))?.[1]
}
