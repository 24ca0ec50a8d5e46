/** The roles that a caller may have on the namespace, the least first; `nobody` has logged in and was granted nothing. */
export const roles = ['nobody', 'puller', 'pusher', 'maintainer', 'owner', 'admin'] as const
export type Role = (typeof roles)[number]

/** Names of what was made for one request, which it may spoil. */
export type Things = {
  namespace: string
  repository: string
  distribution: string
  remote: string
  user: string
  group: string
  robot: string
  role: string
  grant: string
  schedule: string
  webhook: string
  fresh: string
}
type Sent = { method: string; path: string; body?: object }

/**
 * What a route needs, written from the rules of the roles and not from the documents: the least role on the namespace that has it, or
 * `everybody` who has logged in, or `anybody`. `part` says what is special, where a route is in the table twice.
 */
export type Rows = Record<string, Row | Row[]>
export type Row = { needs: Role | 'everybody' | 'anybody'; send: (things: Things) => Sent; part?: string }

export const enc = encodeURIComponent
export const of =
  (method: string, path: (things: Things) => string, body?: (things: Things) => object) => (things: Things) => ({
    method,
    path: path(things),
    ...(body ? { body: body(things) } : {}),
  })
export const repository =
  (rest = '') =>
  (things: Things) =>
    `/repositories/${enc(things.repository)}${rest}`
export const distribution = (things: Things) => `/distributions/${enc(things.distribution)}`
export const remote =
  (rest = '') =>
  (things: Things) =>
    `/remotes/${enc(things.remote)}${rest}`
export const at = (path: string) => () => path
export const absent = `sha256:${'0'.repeat(64)}`
export const noId = '00000000-0000-4000-8000-00000000dead'

export const robot =
  (rest = '') =>
  (things: Things) =>
    `/robots/${enc(things.robot)}${rest}`
export const webhook =
  (rest = '') =>
  (things: Things) =>
    `/webhooks/${enc(things.webhook)}${rest}`
export const schedule =
  (rest = '') =>
  (things: Things) =>
    `/schedules/${enc(things.schedule)}${rest}`
export const grant = (things: Things) => `/grants/${things.grant}`
