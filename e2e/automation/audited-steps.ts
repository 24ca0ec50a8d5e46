/** What earlier answers gave, for later requests: `{name}` in a path or body stands for it. */
export type Known = Record<string, string>

/** One request that changes something, and what the audit trail has to say of it. */
export type Step = {
  /** The operation; also the id of the request. */
  action: string
  method: string
  path: string
  body?: object
  /** Who sends it, unless it is the administrator. */
  as?: 'ann' | 'session'
  kind: string
  name: string | null
  /** Under which name the id of the object is known. */
  id?: string
  detail: string | null
  namespace: string | null
  /** Kept of the answer under this name: the id, or what `of` says. */
  keep?: string
  of?: string
}

/** Secrets that go out with the steps. None of them may be found again. */
export const secrets = {
  first: 'a first secret of seven hills',
  second: 'a second secret of seven hills',
  third: 'a third secret of seven hills',
  provider: 'what the provider must not lose',
  remote: 'what the remote must not lose',
  webhook: `whsec_${btoa('a secret of a webhook that is long')}`,
  header: 'what a header must not lose',
}

type More = Partial<Pick<Step, 'body' | 'as' | 'id' | 'detail' | 'namespace' | 'keep' | 'of'>>

/** `request` is a method and a path, `on` a kind and a name. */
function change(action: string, request: string, on: string, more: More = {}): Step {
  const [method = '', path = ''] = request.split(' ')
  const [kind = '', ...name] = on.split(' ')
  return { action, method, path, kind, name: name[0] ?? null, detail: null, namespace: null, ...more }
}

/** A change in the namespace of all that is made here. */
function inTeam(action: string, request: string, on: string, more: More = {}): Step {
  return change(action, request, on, { namespace: 'team', ...more })
}

const app = '/repositories/team%2Fapp'
const trust = { issuer: 'https://issuer.example', audience: 'berth', claims: { sub: 'a' }, robot: 'team/ci' }
const provider = { issuer: 'https://localhost:1', clientId: 'berth', clientSecret: secrets.provider }
const served = { basePath: 'team/served', repository: 'team/app' }
const nightly = { cron: '@daily', kind: 'retention', parameters: { repository: 'team/app' } }
const upstream = {
  url: 'http://127.0.0.1:1',
  upstreamName: 'a/b',
  allowPrivateAddresses: true,
  username: 'u',
  password: secrets.remote,
}

const receiver = { url: 'http://127.0.0.1:1/hook', allowPrivateAddresses: true, secret: secrets.webhook }

/** A change by each route of the API that makes one, in an order in which each finds what it needs. */
export const steps: readonly Step[] = [
  inTeam('createNamespace', 'POST /namespaces', 'namespace team', { body: { name: 'team' } }),
  inTeam('updateNamespace', 'PATCH /namespaces/team', 'namespace team', { body: { labels: { a: 'b' } } }),
  change('createUser', 'POST /users', 'user ann', {
    body: { name: 'ann', password: secrets.first },
    keep: 'ann',
    id: 'ann',
  }),
  change('updateUser', 'PATCH /users/{ann}', 'user ann', { body: { password: secrets.second }, id: 'ann' }),
  change('updateMe', 'PATCH /me', 'user ann', {
    body: { currentPassword: secrets.second, password: secrets.third },
    as: 'ann',
    id: 'ann',
  }),
  change('openSession', 'POST /sessions', 'session', {
    body: { name: 'ann', password: secrets.third },
    keep: 'csrf',
    of: 'csrfToken',
  }),
  change('createToken', 'POST /me/tokens', 'token laptop', {
    body: { name: 'laptop' },
    as: 'ann',
    keep: 'token',
    id: 'token',
  }),
  change('deleteToken', 'DELETE /me/tokens/laptop', 'token laptop', { as: 'ann', id: 'token' }),
  change('deleteSession', 'DELETE /me/sessions/{session}', 'session', { as: 'ann', id: 'session' }),
  change('closeSession', 'DELETE /sessions/current', 'session', { as: 'session' }),
  change('createGroup', 'POST /groups', 'group devs', { body: { name: 'devs' }, keep: 'devs', id: 'devs' }),
  change('updateGroup', 'PATCH /groups/devs', 'group devs', { body: { members: ['ann'] }, id: 'devs' }),
  change('createRole', 'POST /roles', 'role looker', { body: { name: 'looker', verbs: ['read'] } }),
  change('updateRole', 'PATCH /roles/looker', 'role looker', { body: { verbs: ['read', 'pull'] } }),
  inTeam('createRobot', 'POST /robots', 'robot team/ci', {
    body: { name: 'ci', namespace: 'team' },
    keep: 'robot',
    id: 'robot',
  }),
  inTeam('updateRobot', 'PATCH /robots/{robot}', 'robot team/ci', { body: { description: 'x' }, id: 'robot' }),
  inTeam('rotateRobot', 'POST /robots/team%2Fci/rotate', 'robot team/ci', { body: {}, id: 'robot' }),
  inTeam('createGrant', 'POST /grants', 'grant team/*', {
    body: { to: { user: 'ann' }, role: 'pusher', on: 'team/*' },
    detail: 'pusher to user ann',
    keep: 'grant',
    id: 'grant',
  }),
  inTeam('updateGrant', 'PATCH /grants/{grant}', 'grant team/*', {
    body: { role: 'puller' },
    detail: 'puller to user ann',
    id: 'grant',
  }),
  inTeam('deleteGrant', 'DELETE /grants/{grant}', 'grant team/*', { detail: 'puller to user ann', id: 'grant' }),
  change('createIdentityProvider', 'POST /identity-providers', 'identity-provider corp', {
    body: { name: 'corp', ...provider },
  }),
  change('updateIdentityProvider', 'PATCH /identity-providers/corp', 'identity-provider corp', {
    body: { clientId: 'other' },
  }),
  change('deleteIdentityProvider', 'DELETE /identity-providers/corp', 'identity-provider corp'),
  inTeam('createTrust', 'POST /trusts', 'trust ci', { body: { name: 'ci', ...trust } }),
  inTeam('updateTrust', 'PATCH /trusts/ci', 'trust ci', { body: { claims: { sub: 'b' } } }),
  inTeam('deleteTrust', 'DELETE /trusts/ci', 'trust ci'),
  change('rotateKeys', 'POST /keys/rotate', 'key'),
  inTeam('createRepository', 'POST /repositories', 'repository team/copy', {
    body: { name: 'team/copy' },
    keep: 'copy',
    id: 'copy',
  }),
  inTeam('updateRepository', 'PATCH /repositories/{copy}', 'repository team/copy', {
    body: { description: 'x' },
    id: 'copy',
  }),
  inTeam('copyIntoRepository', 'POST /repositories/team%2Fcopy/copy', 'repository team/copy', {
    body: { from: { repository: 'team/app' } },
    id: 'copy',
  }),
  inTeam('setTag', `PUT ${app}/tags/two`, 'repository team/app', { body: { digest: '{digest}' }, detail: 'two' }),
  inTeam('deleteTag', `DELETE ${app}/tags/two`, 'repository team/app', { detail: 'two' }),
  inTeam('applyRetention', `POST ${app}/retention`, 'repository team/app', { body: {} }),
  inTeam('modifyRepository', `POST ${app}/modify`, 'repository team/app', { body: { remove: [{ tag: '2' }] } }),
  inTeam('rollBackRepository', `POST ${app}/rollback`, 'repository team/app', { body: { version: 1 } }),
  inTeam('deleteVersion', `DELETE ${app}/versions/2`, 'repository team/app', { detail: '2' }),
  inTeam('rebuildRepository', `POST ${app}/rebuild`, 'repository team/app'),
  inTeam('createDistribution', 'POST /distributions', 'distribution team/served', {
    body: { name: 'team/served', ...served },
    keep: 'served',
    id: 'served',
  }),
  inTeam('updateDistribution', 'PATCH /distributions/{served}', 'distribution team/served', {
    body: { warning: 'x' },
    id: 'served',
  }),
  inTeam('deleteDistribution', 'DELETE /distributions/team%2Fcopy', 'distribution team/copy'),
  inTeam('createRemote', 'POST /remotes', 'remote team/hub', {
    body: { name: 'team/hub', ...upstream },
    keep: 'hub',
    id: 'hub',
  }),
  inTeam('updateRemote', 'PATCH /remotes/{hub}', 'remote team/hub', { body: { retries: 0 }, id: 'hub' }),
  inTeam('startSync', 'POST /syncs', 'repository team/app', {
    body: { remote: 'team/hub', repository: 'team/app' },
    keep: 'run',
  }),
  inTeam('retryTask', 'POST /tasks/{run}/retry', 'task sync', { body: {}, keep: 'again', id: 'run' }),
  inTeam('cancelTask', 'POST /tasks/{hanging}/cancel', 'task sync', { id: 'hanging' }),
  change('purgeTasks', 'POST /tasks/purge', 'task', { body: { states: ['failed'], olderThanDays: 0 } }),
  inTeam('createSchedule', 'POST /schedules', 'schedule team/nightly', {
    body: { name: 'team/nightly', ...nightly },
    keep: 'nightly',
    id: 'nightly',
  }),
  inTeam('updateSchedule', 'PATCH /schedules/{nightly}', 'schedule team/nightly', {
    body: { paused: true },
    id: 'nightly',
  }),
  inTeam('runSchedule', 'POST /schedules/team%2Fnightly/run', 'schedule team/nightly', { id: 'nightly' }),
  inTeam('deleteSchedule', 'DELETE /schedules/team%2Fnightly', 'schedule team/nightly', { id: 'nightly' }),
  inTeam('createWebhook', 'POST /webhooks', 'webhook team/hook', {
    body: { name: 'team/hook', ...receiver, headers: { authorization: secrets.header } },
    keep: 'hook',
    id: 'hook',
  }),
  inTeam('updateWebhook', 'PATCH /webhooks/{hook}', 'webhook team/hook', {
    body: { headers: { authorization: secrets.header } },
    id: 'hook',
  }),
  inTeam('testWebhook', 'POST /webhooks/{hook}/test', 'webhook team/hook', { id: 'hook', keep: 'delivery' }),
  inTeam('replayDelivery', 'POST /webhooks/{hook}/deliveries/{delivery}/replay', 'webhook team/hook', {
    id: 'hook',
    detail: '{delivery}',
  }),
  inTeam('deleteWebhook', 'DELETE /webhooks/team%2Fhook', 'webhook team/hook', { id: 'hook' }),
  change('createExport', 'POST /exports', 'export', {
    body: { repositories: [{ name: 'team/app' }], to: { kind: 'download' } },
    keep: 'exporting',
  }),
  change('deleteExport', 'DELETE /exports/{export}', 'export', { id: 'export' }),
  change('createImport', 'POST /imports', 'import', { body: { from: { kind: 'upload' } }, keep: 'import' }),
  change('dropImportPart', 'DELETE /imports/{import}/parts/0', 'import', { id: 'import', detail: '0' }),
  change('verifyImport', 'POST /imports/{import}/verify', 'import', { id: 'import', keep: 'importing' }),
  change('applyImport', 'POST /imports/{import}/apply', 'import', { body: {}, id: 'import', keep: 'importing' }),
  change('deleteImport', 'DELETE /imports/{import}', 'import', { id: 'import' }),
  change('writeStaticMirror', 'POST /mirrors/static', 'mirror', {
    body: { repositories: [{ name: 'team/app' }], directory: 'mirror', includePrivate: true },
  }),
  change('collectStore', 'POST /store/gc', 'store', { body: {} }),
  change('scrubStore', 'POST /store/scrub', 'store', { body: {} }),
  change('repairStore', 'POST /store/repair', 'store', { body: {} }),
  change('applyAllRetention', 'POST /store/retention', 'store'),
  change('reclaimStore', 'POST /store/reclaim', 'store', { body: {} }),
  change('replayDeadLetter', 'POST /dead-letters/{letter}/replay', 'dead-letter {letter}'),
  inTeam('deleteRemote', 'DELETE /remotes/team%2Fhub', 'remote team/hub', { id: 'hub' }),
  inTeam('deleteRepository', 'DELETE /repositories/team%2Fcopy', 'repository team/copy', { id: 'copy' }),
  inTeam('deleteRobot', 'DELETE /robots/team%2Fci', 'robot team/ci', { id: 'robot' }),
  change('deleteRole', 'DELETE /roles/looker', 'role looker'),
  change('deleteGroup', 'DELETE /groups/devs', 'group devs', { id: 'devs' }),
  change('deleteUser', 'DELETE /users/ann', 'user ann', { id: 'ann' }),
  inTeam('deleteNamespace', 'DELETE /namespaces/team', 'namespace team'),
]
