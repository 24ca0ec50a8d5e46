import type { Tenant } from './tenants.ts'

export type Sent = { method: string; path: string; body?: object }
/** A request in which every thing that it names is one of `own` or of `other`. */
export type Reach = (own: Tenant, other: Tenant) => Sent

const enc = encodeURIComponent
const inRepository = (repository: string, rest = '') => `/repositories/${enc(repository)}${rest}`

/** What a member of one team may try with what is another's, beside naming it in a path: in bodies and beside what is its own. */
export const reaches: Record<string, Reach> = {
  'copies from it': (own, other) => ({
    method: 'POST',
    path: inRepository(own.repository, '/copy'),
    body: { from: { repository: other.repository } },
  }),
  'copies from it by its id': (own, other) => ({
    method: 'POST',
    path: inRepository(own.repository, '/copy'),
    body: { from: { repository: other.repositoryId } },
  }),
  'copies into it': (own, other) => ({
    method: 'POST',
    path: inRepository(other.repository, '/copy'),
    body: { from: { repository: own.repository } },
  }),
  'adds a tag of it': (own, other) => ({
    method: 'POST',
    path: inRepository(own.repository, '/modify'),
    body: { add: [{ tag: other.tag, from: { repository: other.repository } }] },
  }),
  'adds from it': (own, other) => ({
    method: 'POST',
    path: inRepository(own.repository, '/modify'),
    body: { from: { repository: other.repository }, add: [{ digest: other.manifest }] },
  }),
  'adds its manifest from wherever it is': (own, other) => ({
    method: 'POST',
    path: inRepository(own.repository, '/modify'),
    body: { add: [{ digest: other.manifest }] },
  }),
  'tags its manifest': (own, other) => ({
    method: 'PUT',
    path: inRepository(own.repository, '/tags/theirs'),
    body: { digest: other.manifest },
  }),
  'serves it under an own name': (own, other) => ({
    method: 'POST',
    path: '/distributions',
    body: { name: `${own.namespace}/served`, basePath: `${own.namespace}/served`, repository: other.repository },
  }),
  'serves an own distribution from it': (own, other) => ({
    method: 'PATCH',
    path: `/distributions/${enc(own.distribution)}`,
    body: { repository: other.repository },
  }),
  'pulls through its remote': (own, other) => ({
    method: 'POST',
    path: '/distributions',
    body: { name: `${own.namespace}/through`, basePath: `${own.namespace}/through`, remote: other.remote },
  }),
  'syncs from its remote': (own, other) => ({
    method: 'POST',
    path: '/syncs',
    body: { remote: other.remote, repository: own.repository, dryRun: true },
  }),
  'syncs from its remote by its id': (own, other) => ({
    method: 'POST',
    path: '/syncs',
    body: { remote: other.remoteId, repository: own.repository, dryRun: true },
  }),
  'syncs into it': (own, other) => ({
    method: 'POST',
    path: '/syncs',
    body: { remote: own.remote, repository: other.repository, dryRun: true },
  }),
  'has it synced into at night': (own, other) => ({
    method: 'POST',
    path: '/schedules',
    body: {
      name: `${own.namespace}/theirs`,
      cron: '@daily',
      kind: 'sync',
      parameters: { remote: own.remote, repository: other.repository },
    },
  }),
  'has its tags taken away at night': (own, other) => ({
    method: 'POST',
    path: '/schedules',
    body: {
      name: `${own.namespace}/theirs`,
      cron: '@daily',
      kind: 'retention',
      parameters: { repository: other.repository },
    },
  }),
  'lets an own schedule work on it': (own, other) => ({
    method: 'PATCH',
    path: `/schedules/${enc(own.schedule)}`,
    body: { parameters: { repository: other.repository } },
  }),
  'has its robot do something': (own, other) => ({
    method: 'POST',
    path: '/schedules',
    body: {
      name: `${own.namespace}/as-theirs`,
      cron: '@daily',
      kind: 'retention',
      parameters: { repository: own.repository },
      runAs: other.robot,
    },
  }),
  'grants on it': (own, other) => ({
    method: 'POST',
    path: '/grants',
    body: { to: { user: `${own.namespace}-ann` }, role: 'puller', on: `repository:${other.repository}` },
  }),
  'grants on its distribution': (own, other) => ({
    method: 'POST',
    path: '/grants',
    body: { to: { user: `${own.namespace}-ann` }, role: 'puller', on: `distribution:${other.distribution}` },
  }),
  'grants on its remote': (own, other) => ({
    method: 'POST',
    path: '/grants',
    body: { to: { user: `${own.namespace}-ann` }, role: 'puller', on: `remote:${other.remote}` },
  }),
  'asks what it may on it': (_own, other) => ({
    method: 'GET',
    path: `/access/check?action=pull&on=${enc(`repository:${other.repository}`)}`,
  }),
  'makes a robot there': (_own, other) => ({
    method: 'POST',
    path: '/robots',
    body: { name: 'spy', namespace: other.namespace },
  }),
  'lists what is granted on it': (_own, other) => ({
    method: 'GET',
    path: `/grants?on=${enc(`repository:${other.repository}`)}`,
  }),
  'lists what its robot was granted': (_own, other) => ({
    method: 'GET',
    path: `/grants?to=${enc(`robot:${other.robot}`)}`,
  }),
  'lists what was done with it': (_own, other) => ({
    method: 'GET',
    path: `/audit?result=done&object=${enc(other.repository)}`,
  }),
  'lists what was done with it by its id': (_own, other) => ({
    method: 'GET',
    path: `/audit?result=done&object=${other.repositoryId}`,
  }),
  'lists what happened in its namespace': (_own, other) => ({
    method: 'GET',
    path: `/audit?result=done&namespace=${enc(other.namespace)}`,
  }),
  'lists the runs of its remote': (_own, other) => ({ method: 'GET', path: `/syncs?remote=${enc(other.remote)}` }),
  'lists the runs into it': (_own, other) => ({ method: 'GET', path: `/syncs?repository=${enc(other.repository)}` }),
  'lists the distributions of it': (_own, other) => ({
    method: 'GET',
    path: `/distributions?repository=${enc(other.repository)}`,
  }),
}
