import { randomUUID } from 'node:crypto'
import { mergeDocuments } from '@berth/standalone/origin'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { sha256 } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import { fieldsOf, type OpenApiDocument, operationsOf } from '../hostile/document.ts'
import { fuzzed, randomFrom } from './fuzzed-requests.ts'
import { type Row, type Things, table } from './matrix-table.ts'
import { apiAs, basicOf, tokenFor } from './people.ts'
import { type Member, makeTenant, type Tenant } from './tenants.ts'
import { reaches, type Sent } from './tenants-table.ts'
import { type Content, methods, v2Table } from './v2-table.ts'

const berth = withBerth()
const upstream = withUpstream()
/** Red reaches for what is blue's; what it gets has to be what it gets for a team that there is not. */
let red: Member
let blue: Member
const none: Tenant = {
  namespace: 'tenant-none',
  repository: 'tenant-none/app',
  repositoryId: randomUUID(),
  distribution: 'tenant-none/app',
  distributionId: randomUUID(),
  remote: 'tenant-none/hub',
  remoteId: randomUUID(),
  robot: 'tenant-none/ci',
  grant: randomUUID(),
  task: randomUUID(),
  schedule: 'tenant-none/nightly',
  scheduleId: randomUUID(),
  webhook: 'tenant-none/hook',
  webhookId: randomUUID(),
  version: '1',
  tag: '1',
  manifest: sha256('no manifest'),
  layer: sha256('no layer'),
  loose: sha256('no blob'),
  session: '',
}

beforeAll(async () => {
  red = await makeTenant(berth, upstream, 'tenant-red')
  blue = await makeTenant(berth, upstream, 'tenant-blue')
  // Of the form that sessions have, and of none that there is.
  none.session = blue.has.session.replace(/^.{8}/, (text) => (text === 'aaaaaaaa' ? 'bbbbbbbb' : 'aaaaaaaa'))
}, 120_000)

/** An answer without what tells one request from another: the names and ids in it, and its own. */
function alike(text: string, other: Tenant): string {
  let plain = text.replaceAll(/"(requestId|traceId|time)":"[^"]*"/g, '"$1":""')
  const byLength = Object.entries(other).sort(([, one], [, two]) => two.length - one.length)
  for (const [key, value] of byLength) {
    if (value.length < 4) continue
    plain = plain.replaceAll(encodeURIComponent(value), `<${key}>`).replaceAll(value, `<${key}>`)
  }
  return plain
}

async function answerTo({ method, path, body }: Sent, other: Tenant): Promise<string> {
  const answer = await apiAs(berth, red.login, method, path, body)
  return alike(`${answer.status} ${JSON.stringify(answer.body)}`, other)
}

const thingsOf = (tenant: Tenant, by: 'name' | 'id'): Things => ({
  namespace: tenant.namespace,
  repository: by === 'id' ? tenant.repositoryId : tenant.repository,
  distribution: by === 'id' ? tenant.distributionId : tenant.distribution,
  remote: by === 'id' ? tenant.remoteId : tenant.remote,
  robot: tenant.robot,
  grant: tenant.grant,
  schedule: by === 'id' ? tenant.scheduleId : tenant.schedule,
  webhook: by === 'id' ? tenant.webhookId : tenant.webhook,
  user: 'tenant-red-ann',
  group: 'tenant-group',
  role: 'tenant-role',
  fresh: `${tenant.namespace}/fresh`,
})

const rows = Object.entries(table).flatMap(([id, row]) => [row].flat().map((one): [string, Row] => [id, one]))
const isOwn = (path: string) => /^\/(me|sessions|oidc|token)\b/.test(path)
const about = rows.filter(([, { send }]) => {
  const sent = send(thingsOf(marks(), 'name'))
  return !isOwn(sent.path) && JSON.stringify(sent).includes('MARK')
})
function marks(): Tenant {
  return Object.fromEntries(Object.keys(none).map((key) => [key, 'MARK'])) as Tenant
}

describe('what one team sends about what is another’s is answered as if there were no such thing', () => {
  test.each(about)('%s', async (id, { send }) => {
    for (const by of ['name', 'id'] as const) {
      const [there, missing] = [blue.has, none].map((other) => answerTo(send(thingsOf(other, by)), other))
      expect(await there).toBe(await missing)
      // To make something in the namespace of another team is refused; what is already there is not seen.
      expect(await there).toMatch(id.startsWith('create') ? /^40[34] / : /^(403|404|200 \{"allowed":false) ?/)
    }
  })

  test.each(Object.entries(reaches))('a member %s', async (_what, reach) => {
    const [there, missing] = [blue.has, none].map((other) => answerTo(reach(red.has, other), other))
    expect(await there).toBe(await missing)
  })

  test.each([
    'GET /tasks/',
    'POST /tasks/ /cancel',
    'GET /tasks/ /events',
    'GET /tasks/ /log',
    'GET /syncs/',
    'GET /tasks?parent=',
  ])('%s of a task', async (route) => {
    const [method = '', path = '', rest = ''] = route.split(' ')
    const [there, missing] = [blue.has, none].map((other) =>
      answerTo({ method, path: `${path}${other.task}${rest}` }, other),
    )
    expect(await there).toBe(await missing)
  })
})

// What streams until it is closed has tests of its own (e2e/automation/events.test.ts).
const operations = operationsOf(mergeDocuments() as unknown as OpenApiDocument)
  .filter(({ id }) => id !== 'watchEvents')
  // What is one's own is named by oneself alone.
  .filter(({ path }) => !isOwn(path))
const requests = 400 * Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 16)
test(`nor do ${requests} requests of any shape tell a thing of another team from none (seed ${seed})`, async () => {
  const random = randomFrom(seed)
  const wrong: string[] = []
  for (let n = 0; n < requests; n++) {
    const operation = operations[Math.floor(random() * operations.length)]
    if (
      !operation ||
      operation.inPath.length + operation.inQuery.length + Object.keys(fieldsOf(operation)).length === 0
    )
      continue
    const reach = fuzzed(operation, random)
    // Numbers of versions and names of tags are the same everywhere.
    if (JSON.stringify(reach(red.has, blue.has)) === JSON.stringify(reach(red.has, none))) continue
    const there = await answerTo(reach(red.has, blue.has), blue.has)
    const missing = await answerTo(reach(red.has, none), none)
    if (there !== missing) wrong.push(`${JSON.stringify(reach(red.has, blue.has))}: ${there} and ${missing}`)
  }
  expect(wrong).toEqual([])
}, 120_000)

const listed = Object.entries(table).flatMap(([id, row]) => {
  const [{ send }] = [row].flat() as [Row]
  const { method, path } = send(thingsOf(none, 'name'))
  return id.startsWith('list') && method === 'GET' ? [[id, path] as const] : []
})
test.each(listed)('%s shows a member nothing of another team', async (_id, path) => {
  const { body } = await apiAs(berth, red.login, 'GET', `${path}?limit=1000`)
  // What it was refused above stands in the audit trail, sooner or later, by the names that it said itself.
  const isOwnRefusal = ({ result, actor }: { result?: string; actor?: { name: string } }) =>
    result === 'denied' && actor?.name === red.login.user
  const text = JSON.stringify({ ...body, items: body.items?.filter((item: object) => !isOwnRefusal(item)) })
  const seen = Object.entries(blue.has).filter(([, value]) => value.length > 4 && text.includes(value))
  expect(seen).toEqual([])
})

describe('under /v2', () => {
  type Asked = { method: string; path: (own: Tenant, other: Tenant) => string; body?: (other: Tenant) => string }
  const contentOf = (tenant: Tenant): Content => ({ ...tenant, digest: tenant.manifest })
  const everyRoute: Asked[] = Object.values(v2Table).flatMap(({ ways }) =>
    Object.values(ways).flatMap((path) =>
      methods.flatMap((method) => [
        // In the repository of the other team, and what is the other team's in one's own.
        { method, path: (_own: Tenant, other: Tenant) => path(other.repository, contentOf(other)) },
        { method, path: (own: Tenant, other: Tenant) => path(own.repository, { ...contentOf(other), tag: 'none' }) },
      ]),
    ),
  )
  const manifest = (other: Tenant) =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: other.loose, size: 20 },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: other.layer, size: 2_000 }],
    })
  const more: Asked[] = [
    {
      method: 'POST',
      path: (own, other) => `/v2/${own.repository}/blobs/uploads/?mount=${other.layer}&from=${other.repository}`,
    },
    { method: 'POST', path: (own, other) => `/v2/${own.repository}/blobs/uploads/?mount=${other.layer}` },
    { method: 'POST', path: (own, other) => `/v2/${own.repository}/blobs/uploads/?mount=${other.loose}` },
    { method: 'GET', path: (own, other) => `/v2/${own.repository}/blobs/${other.loose}` },
    { method: 'PUT', path: (own) => `/v2/${own.repository}/manifests/stolen`, body: manifest },
  ]

  async function answerOf(asked: Asked, other: Tenant, authorization: string): Promise<string> {
    const { method, path, body } = asked
    const answer = await fetch(`${berth.url}${path(red.has, other)}`, {
      method,
      headers: { authorization, 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
      ...(['PUT', 'POST', 'PATCH'].includes(method) ? { body: body?.(other) ?? '' } : {}),
    })
    const kept = [
      'www-authenticate',
      'content-length',
      'content-range',
      'range',
      'retry-after',
      'link',
      'allow',
      'etag',
    ]
    const headers = Object.fromEntries(kept.map((key) => [key, answer.headers.get(key)]))
    return alike(`${answer.status} ${JSON.stringify(headers)} ${await answer.text()}`, other)
  }

  test.each(['Basic', 'a token'])(
    'by %s no digest, tag or session of another team is told from none',
    async (door) => {
      const wrong: string[] = []
      const login = async (other: Tenant) =>
        door === 'Basic'
          ? basicOf(red.login)
          : `Bearer ${await tokenFor(berth, red.login, ...[red.has, other].map(({ repository }) => `repository:${repository}:pull,push,delete`))}`
      const [ofBlue, ofNone] = await Promise.all([blue.has, none].map(login))
      for (const asked of [...everyRoute, ...more]) {
        const there = await answerOf(asked, blue.has, ofBlue ?? '')
        const missing = await answerOf(asked, none, ofNone ?? '')
        if (there !== missing || there.startsWith('2') !== missing.startsWith('2'))
          wrong.push(`${asked.method} ${asked.path(red.has, blue.has)}: ${there} and ${missing}`)
      }
      expect(wrong).toEqual([])
    },
    60_000,
  )
})
