import { imageOf, type MisbehavingUpstream } from '@berth/registry-client/misbehaving-upstream'
import type { Berth } from '../berth/berth.ts'
import { pushBlob, pushRandomImage, startUpload, type Target } from '../berth/push.ts'
import { localRemote, make, sync } from '../berth/requests.ts'
import type { Login } from '../clients/client.ts'
import { apiAs, basicOf, grant, makeUser } from './people.ts'

/** The names and ids of what one tenant has, each as it is written in a request. */
export type Tenant = {
  namespace: string
  repository: string
  repositoryId: string
  distribution: string
  distributionId: string
  remote: string
  remoteId: string
  robot: string
  grant: string
  task: string
  schedule: string
  scheduleId: string
  webhook: string
  webhookId: string
  version: string
  tag: string
  manifest: string
  layer: string
  /** A blob that no manifest names. */
  loose: string
  session: string
}
export type Member = { login: Login; target: Target; has: Tenant }

/** A team: its owner, and one of everything in its namespace, some of it made by its owner and some by an administrator. */
export async function makeTenant(berth: Berth, upstream: MisbehavingUpstream, namespace: string): Promise<Member> {
  await make(berth, '/namespaces', { name: namespace })
  const login = await makeUser(berth, `${namespace}-ann`)
  await grant(berth, { user: login.user }, 'owner', `namespace:${namespace}`)
  const target = { url: berth.url, authorization: basicOf(login) }
  const repository = `${namespace}/app`
  const image = await pushRandomImage(target, repository, '1')
  await pushRandomImage(target, repository, '2')
  const loose = await pushBlob(target, repository, Buffer.from(`of ${namespace} alone`))
  const session = new URL(await startUpload(target, repository)).pathname.split('/').at(-1) ?? ''
  const remote = `${namespace}/hub`
  upstream.add(`${namespace}/up`, 'latest', imageOf(`tenant ${namespace}`, 1_000))
  await make(berth, '/remotes', localRemote(remote, upstream.url, `${namespace}/up`, { retries: 0 }))
  await make(berth, '/repositories', { name: `${namespace}/mirror` })
  const task = await sync(berth, `${namespace}/mirror`, remote)
  const schedule = await apiAs(berth, login, 'POST', '/schedules', {
    name: `${namespace}/nightly`,
    cron: '@yearly',
    kind: 'retention',
    parameters: { repository },
  })
  const webhook = await apiAs(berth, login, 'POST', '/webhooks', {
    name: `${namespace}/hook`,
    url: 'https://example.org/',
    active: false,
  })
  const robot = await make(berth, '/robots', { name: 'ci', namespace })
  const on = `repository:${repository}`
  const idOf = async (path: string) => (await apiAs(berth, login, 'GET', path)).body.id as string
  return {
    login,
    target,
    has: {
      namespace,
      repository,
      repositoryId: await idOf(`/repositories/${encodeURIComponent(repository)}`),
      distribution: repository,
      distributionId: await idOf(`/distributions/${encodeURIComponent(repository)}`),
      remote,
      remoteId: await idOf(`/remotes/${encodeURIComponent(remote)}`),
      robot: robot.name,
      grant: await grant(berth, { robot: robot.name }, 'puller', on),
      task: task.id,
      schedule: schedule.body.name,
      scheduleId: schedule.body.id,
      webhook: webhook.body.name,
      webhookId: webhook.body.id,
      version: '1',
      tag: '1',
      manifest: image.digest,
      layer: image.layers[0] ?? '',
      loose: loose.digest,
      session,
    },
  }
}
