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
export type Row = { needs: Role | 'everybody' | 'anybody'; send: (things: Things) => Sent; part?: string }

const enc = encodeURIComponent
const of =
  (method: string, path: (things: Things) => string, body?: (things: Things) => object) => (things: Things) => ({
    method,
    path: path(things),
    ...(body ? { body: body(things) } : {}),
  })
const repository =
  (rest = '') =>
  (things: Things) =>
    `/repositories/${enc(things.repository)}${rest}`
const distribution = (things: Things) => `/distributions/${enc(things.distribution)}`
const remote =
  (rest = '') =>
  (things: Things) =>
    `/remotes/${enc(things.remote)}${rest}`
const at = (path: string) => () => path
const absent = `sha256:${'0'.repeat(64)}`
const noId = '00000000-0000-4000-8000-00000000dead'

const robot =
  (rest = '') =>
  (things: Things) =>
    `/robots/${enc(things.robot)}${rest}`
const webhook =
  (rest = '') =>
  (things: Things) =>
    `/webhooks/${enc(things.webhook)}${rest}`
const schedule =
  (rest = '') =>
  (things: Things) =>
    `/schedules/${enc(things.schedule)}${rest}`
const grant = (things: Things) => `/grants/${things.grant}`

/** Every route of the API. One that is not here fails the test. */
export const table: Record<string, Row | Row[]> = {
  // catalog: repositories
  listRepositories: { needs: 'everybody', send: of('GET', at('/repositories')) },
  createRepository: { needs: 'pusher', send: of('POST', at('/repositories'), ({ fresh }) => ({ name: fresh })) },
  showRepository: { needs: 'puller', send: of('GET', repository()) },
  updateRepository: { needs: 'maintainer', send: of('PATCH', repository(), () => ({ description: 'x' })) },
  deleteRepository: { needs: 'owner', send: of('DELETE', repository()) },
  rebuildRepository: { needs: 'admin', send: of('POST', repository('/rebuild')) },
  listVersions: { needs: 'puller', send: of('GET', repository('/versions')) },
  showVersion: { needs: 'puller', send: of('GET', repository('/versions/0')) },
  deleteVersion: { needs: 'maintainer', send: of('DELETE', repository('/versions/99')) },
  diffVersions: { needs: 'puller', send: of('GET', repository('/versions/0/diff?to=0')) },
  listVersionContent: { needs: 'puller', send: of('GET', repository('/versions/0/content')) },
  modifyRepository: [
    { needs: 'pusher', send: of('POST', repository('/modify'), () => ({ dryRun: true, add: [{ digest: absent }] })) },
    {
      part: 'what is taken out',
      needs: 'maintainer',
      send: of('POST', repository('/modify'), () => ({ dryRun: true, remove: [{ tag: 'none' }] })),
    },
  ],
  copyIntoRepository: {
    needs: 'pusher',
    send: of('POST', repository('/copy'), (things) => ({ dryRun: true, from: { repository: things.repository } })),
  },
  listTags: { needs: 'puller', send: of('GET', repository('/tags')) },
  setTag: { needs: 'pusher', send: of('PUT', repository('/tags/none'), () => ({ digest: absent })) },
  deleteTag: { needs: 'maintainer', send: of('DELETE', repository('/tags/none')) },
  listTagHistory: { needs: 'puller', send: of('GET', repository('/tags/none/history')) },
  showTagAt: { needs: 'puller', send: of('GET', repository('/tags/none/at?time=2026-11-29T12:00:00Z')) },
  rollBackRepository: { needs: 'maintainer', send: of('POST', repository('/rollback'), () => ({ version: 99 })) },
  applyRetention: { needs: 'maintainer', send: of('POST', repository('/retention'), () => ({ dryRun: true })) },
  // catalog: namespaces
  listNamespaces: { needs: 'everybody', send: of('GET', at('/namespaces')) },
  createNamespace: {
    needs: 'admin',
    send: of('POST', at('/namespaces'), ({ fresh }) => ({ name: fresh.replace('/', '-') })),
  },
  showNamespace: { needs: 'puller', send: of('GET', ({ namespace }) => `/namespaces/${namespace}`) },
  updateNamespace: [
    {
      needs: 'owner',
      send: of(
        'PATCH',
        ({ namespace }) => `/namespaces/${namespace}`,
        () => ({ labels: {} }),
      ),
    },
    {
      part: 'its quota',
      needs: 'admin',
      send: of(
        'PATCH',
        ({ namespace }) => `/namespaces/${namespace}`,
        () => ({ quotaBytes: null }),
      ),
    },
    {
      part: 'its access',
      needs: 'owner',
      send: of(
        'PATCH',
        ({ namespace }) => `/namespaces/${namespace}`,
        () => ({ defaultAccess: 'public' }),
      ),
    },
  ],
  deleteNamespace: { needs: 'owner', send: of('DELETE', ({ namespace }) => `/namespaces/${namespace}`) },
  // catalog: distributions
  listDistributions: { needs: 'everybody', send: of('GET', at('/distributions')) },
  createDistribution: [
    {
      needs: 'maintainer',
      send: of('POST', at('/distributions'), ({ fresh, repository: name }) => ({
        name: fresh,
        basePath: fresh,
        repository: name,
      })),
    },
    {
      part: 'one that is public',
      needs: 'owner',
      send: of('POST', at('/distributions'), ({ fresh, repository: name }) => ({
        name: fresh,
        basePath: fresh,
        repository: name,
        access: 'public',
      })),
    },
  ],
  showDistribution: { needs: 'puller', send: of('GET', distribution) },
  updateDistribution: [
    { needs: 'maintainer', send: of('PATCH', distribution, () => ({ warning: 'x' })) },
    { part: 'to public', needs: 'owner', send: of('PATCH', distribution, () => ({ access: 'public' })) },
  ],
  deleteDistribution: { needs: 'owner', send: of('DELETE', distribution) },
  listDistributionHistory: { needs: 'puller', send: of('GET', (things) => `${distribution(things)}/history`) },
  showDistributionAt: {
    needs: 'puller',
    send: of('GET', (things) => `${distribution(things)}/at?time=2100-01-01T00:00:00Z`),
  },
  // catalog: the store
  showStore: { needs: 'admin', send: of('GET', at('/store')) },
  listStoreRepositories: { needs: 'admin', send: of('GET', at('/store/repositories')) },
  collectStore: { needs: 'admin', send: of('POST', at('/store/gc'), () => ({ dryRun: true })) },
  listStoreCandidates: { needs: 'admin', send: of('GET', at('/store/gc/plan')) },
  listStoreRuns: { needs: 'admin', send: of('GET', at('/store/gc/runs')) },
  scrubStore: { needs: 'admin', send: of('POST', at('/store/scrub'), () => ({})) },
  repairStore: { needs: 'admin', send: of('POST', at('/store/repair'), () => ({})) },
  applyAllRetention: { needs: 'admin', send: of('POST', at('/store/retention')) },
  reclaimStore: { needs: 'admin', send: of('POST', at('/store/reclaim'), () => ({})) },
  listStoreDamage: { needs: 'admin', send: of('GET', at('/store/damage')) },
  explainDigest: { needs: 'admin', send: of('GET', at(`/store/explain/${absent}`)) },
  // sync
  listRemotes: { needs: 'everybody', send: of('GET', at('/remotes')) },
  createRemote: [
    {
      needs: 'owner',
      send: of('POST', at('/remotes'), ({ fresh }) => ({ name: fresh, url: 'https://registry.example' })),
    },
    {
      part: 'one that may go to private addresses',
      needs: 'admin',
      send: of('POST', at('/remotes'), ({ fresh }) => ({
        name: fresh,
        url: 'https://registry.example',
        allowPrivateAddresses: true,
      })),
    },
  ],
  rotateRemoteKeys: { needs: 'admin', send: of('POST', at('/remotes/rotate-keys')) },
  showRemote: { needs: 'maintainer', send: of('GET', remote()) },
  updateRemote: [
    { needs: 'owner', send: of('PATCH', remote(), () => ({ retries: 1 })) },
    { part: 'its TLS', needs: 'admin', send: of('PATCH', remote(), () => ({ tlsValidation: false })) },
  ],
  deleteRemote: { needs: 'owner', send: of('DELETE', remote()) },
  checkRemote: { needs: 'owner', send: of('POST', remote('/check')) },
  listSyncs: { needs: 'everybody', send: of('GET', at('/syncs')) },
  startSync: {
    needs: 'maintainer',
    send: of('POST', at('/syncs'), (things) => ({
      remote: things.remote,
      repository: things.repository,
      dryRun: true,
    })),
  },
  showSync: { needs: 'everybody', send: of('GET', at(`/syncs/${noId}`)) },
  // tasks: everybody's own
  listTasks: { needs: 'everybody', send: of('GET', at('/tasks')) },
  showTask: { needs: 'everybody', send: of('GET', at(`/tasks/${noId}`)) },
  listTaskLog: { needs: 'everybody', send: of('GET', at(`/tasks/${noId}/log`)) },
  cancelTask: { needs: 'everybody', send: of('POST', at(`/tasks/${noId}/cancel`)) },
  retryTask: { needs: 'everybody', send: of('POST', at(`/tasks/${noId}/retry`)) },
  purgeTasks: {
    needs: 'admin',
    send: of('POST', at('/tasks/purge'), () => ({ states: ['completed'], olderThanDays: 9_999 })),
  },
  watchTask: { needs: 'everybody', send: of('GET', at(`/tasks/${noId}/events`)) },
  // tasks: schedules
  listSchedules: { needs: 'everybody', send: of('GET', at('/schedules')) },
  createSchedule: {
    needs: 'maintainer',
    send: of('POST', at('/schedules'), ({ fresh, repository: name }) => ({
      name: fresh,
      cron: '@daily',
      kind: 'retention',
      parameters: { repository: name },
    })),
  },
  showSchedule: { needs: 'maintainer', send: of('GET', schedule()) },
  updateSchedule: { needs: 'maintainer', send: of('PATCH', schedule(), () => ({ paused: true })) },
  deleteSchedule: { needs: 'maintainer', send: of('DELETE', schedule()) },
  runSchedule: { needs: 'maintainer', send: of('POST', schedule('/run')) },
  listScheduleRuns: { needs: 'maintainer', send: of('GET', schedule('/runs')) },
  watchEvents: { needs: 'everybody', send: of('GET', at('/events?after=none')) },
  listAudit: { needs: 'everybody', send: of('GET', at('/audit')) },
  // tasks: webhooks
  listWebhooks: { needs: 'everybody', send: of('GET', at('/webhooks')) },
  createWebhook: {
    needs: 'maintainer',
    send: of('POST', at('/webhooks'), ({ fresh }) => ({ name: fresh, url: 'https://example.org/', active: false })),
  },
  showWebhook: { needs: 'maintainer', send: of('GET', webhook()) },
  updateWebhook: { needs: 'maintainer', send: of('PATCH', webhook(), () => ({ active: false })) },
  deleteWebhook: { needs: 'maintainer', send: of('DELETE', webhook()) },
  testWebhook: { needs: 'maintainer', send: of('POST', webhook('/test')) },
  listDeliveries: { needs: 'maintainer', send: of('GET', webhook('/deliveries')) },
  // Of none: what is let in gets its own 404, as other rows here do.
  showDelivery: { needs: 'maintainer', send: of('GET', webhook(`/deliveries/${noId}`)) },
  replayDelivery: { needs: 'maintainer', send: of('POST', webhook(`/deliveries/${noId}/replay`)) },
  listDeadLetters: { needs: 'admin', send: of('GET', at('/dead-letters')) },
  showDeadLetter: { needs: 'admin', send: of('GET', at(`/dead-letters/auth:x:${noId}`)) },
  replayDeadLetter: { needs: 'admin', send: of('POST', at(`/dead-letters/auth:x:${noId}/replay`)) },
  // build
  listBuilds: { needs: 'admin', send: of('GET', at('/builds')) },
  showBuild: { needs: 'admin', send: of('GET', at(`/builds/${noId}`)) },
  // auth: accounts
  showMe: { needs: 'everybody', send: of('GET', at('/me')) },
  updateMe: {
    needs: 'everybody',
    send: of('PATCH', at('/me'), () => ({ password: 'another good password', currentPassword: 'wrong' })),
  },
  // auth: identity providers
  listOidcLogins: { needs: 'anybody', send: of('GET', at('/oidc')) },
  beginOidcLogin: { needs: 'anybody', send: of('GET', at('/oidc/none/login')) },
  endOidcLogin: { needs: 'anybody', send: of('GET', at('/oidc/none/callback?state=x&code=y')) },
  listIdentityProviders: { needs: 'admin', send: of('GET', at('/identity-providers')) },
  createIdentityProvider: {
    needs: 'admin',
    send: of('POST', at('/identity-providers'), ({ fresh }) => ({
      name: fresh.replace('/', '-'),
      issuer: 'https://localhost:1',
      clientId: 'berth',
    })),
  },
  showIdentityProvider: { needs: 'admin', send: of('GET', at('/identity-providers/none')) },
  updateIdentityProvider: { needs: 'admin', send: of('PATCH', at('/identity-providers/none'), () => ({})) },
  deleteIdentityProvider: { needs: 'admin', send: of('DELETE', at('/identity-providers/none')) },
  // auth: trusts
  listTrusts: { needs: 'admin', send: of('GET', at('/trusts')) },
  createTrust: {
    needs: 'admin',
    send: of('POST', at('/trusts'), ({ fresh, robot: name }) => ({
      name: fresh.replace('/', '-'),
      issuer: 'https://issuer.example',
      audience: 'berth',
      claims: { sub: 'a' },
      robot: name,
    })),
  },
  showTrust: { needs: 'admin', send: of('GET', at('/trusts/none')) },
  updateTrust: { needs: 'admin', send: of('PATCH', at('/trusts/none'), () => ({})) },
  deleteTrust: { needs: 'admin', send: of('DELETE', at('/trusts/none')) },
  // auth: logins of people
  openSession: {
    needs: 'anybody',
    send: of('POST', at('/sessions'), () => ({ name: 'nobody-at-all', password: 'x' })),
  },
  showSession: { needs: 'everybody', send: of('GET', at('/sessions/current')) },
  closeSession: { needs: 'everybody', send: of('DELETE', at('/sessions/current')) },
  listSessions: { needs: 'everybody', send: of('GET', at('/me/sessions')) },
  deleteSession: { needs: 'everybody', send: of('DELETE', at(`/me/sessions/${noId}`)) },
  listTokens: { needs: 'everybody', send: of('GET', at('/me/tokens')) },
  createToken: {
    needs: 'everybody',
    send: of('POST', at('/me/tokens'), ({ fresh }) => ({ name: fresh.replace('/', '-') })),
  },
  deleteToken: { needs: 'everybody', send: of('DELETE', at(`/me/tokens/${noId}`)) },
  showPermissions: { needs: 'everybody', send: of('GET', at('/me/permissions')) },
  listUsers: { needs: 'admin', send: of('GET', at('/users')) },
  createUser: {
    needs: 'admin',
    send: of('POST', at('/users'), ({ fresh }) => ({
      name: fresh.replace('/', '-'),
      password: 'another good password',
    })),
  },
  showUser: { needs: 'admin', send: of('GET', ({ user }) => `/users/${user}`) },
  updateUser: {
    needs: 'admin',
    send: of(
      'PATCH',
      ({ user }) => `/users/${user}`,
      () => ({ active: true }),
    ),
  },
  deleteUser: { needs: 'admin', send: of('DELETE', ({ user }) => `/users/${user}`) },
  listGroups: { needs: 'admin', send: of('GET', at('/groups')) },
  createGroup: { needs: 'admin', send: of('POST', at('/groups'), ({ fresh }) => ({ name: fresh.replace('/', '-') })) },
  showGroup: { needs: 'admin', send: of('GET', ({ group }) => `/groups/${group}`) },
  updateGroup: {
    needs: 'admin',
    send: of(
      'PATCH',
      ({ group }) => `/groups/${group}`,
      () => ({ members: [] }),
    ),
  },
  deleteGroup: { needs: 'admin', send: of('DELETE', ({ group }) => `/groups/${group}`) },
  // auth: robots
  listRobots: { needs: 'everybody', send: of('GET', at('/robots')) },
  createRobot: [
    {
      needs: 'owner',
      send: of('POST', at('/robots'), ({ fresh, namespace }) => ({ name: fresh.split('/')[1], namespace })),
    },
    {
      part: 'one without a namespace',
      needs: 'admin',
      send: of('POST', at('/robots'), ({ fresh }) => ({ name: fresh.replace('/', '-') })),
    },
  ],
  showRobot: { needs: 'owner', send: of('GET', robot()) },
  updateRobot: { needs: 'owner', send: of('PATCH', robot(), () => ({ description: 'x' })) },
  deleteRobot: { needs: 'owner', send: of('DELETE', robot()) },
  rotateRobot: { needs: 'owner', send: of('POST', robot('/rotate'), () => ({})) },
  // auth: roles and grants
  listRoles: { needs: 'everybody', send: of('GET', at('/roles')) },
  createRole: {
    needs: 'admin',
    send: of('POST', at('/roles'), ({ fresh }) => ({ name: fresh.replace('/', '-'), verbs: ['read'] })),
  },
  showRole: { needs: 'everybody', send: of('GET', at('/roles/puller')) },
  updateRole: {
    needs: 'admin',
    send: of(
      'PATCH',
      ({ role }) => `/roles/${role}`,
      () => ({ verbs: ['read'] }),
    ),
  },
  deleteRole: { needs: 'admin', send: of('DELETE', ({ role }) => `/roles/${role}`) },
  listGrants: { needs: 'everybody', send: of('GET', at('/grants')) },
  createGrant: [
    {
      needs: 'owner',
      send: of('POST', at('/grants'), ({ user, repository: name }) => ({
        to: { user },
        role: 'pusher',
        on: `repository:${name}`,
      })),
    },
    {
      part: 'on everything',
      needs: 'admin',
      send: of('POST', at('/grants'), ({ user }) => ({ to: { user }, role: 'puller', on: '*' })),
    },
  ],
  showGrant: { needs: 'owner', send: of('GET', grant) },
  updateGrant: { needs: 'owner', send: of('PATCH', grant, () => ({ role: 'pusher' })) },
  deleteGrant: { needs: 'owner', send: of('DELETE', grant) },
  checkAccess: {
    needs: 'everybody',
    send: of('GET', ({ repository: name }) => `/access/check?action=pull&on=${enc(`repository:${name}`)}`),
  },
  // auth: keys
  listKeys: { needs: 'anybody', send: of('GET', at('/keys')) },
  rotateKeys: { needs: 'admin', send: of('POST', at('/keys/rotate')) },
}
