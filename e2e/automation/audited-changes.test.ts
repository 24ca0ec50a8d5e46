import { randomUUID } from 'node:crypto'
import { hang, imageOf } from '@berth/registry-client/misbehaving-upstream'
import { mergeDocuments } from '@berth/standalone/origin'
import { beforeAll, expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { pushBlob, pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make, startSync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import { type OpenApiDocument, operationsOf } from '../hostile/document.ts'
import { type Known, type Step, secrets, steps } from './audited-steps.ts'

const stack = withBerth({ own: true })
const upstream = withUpstream()
const known: Known = {}
let cookie = ''

const fill = (text: string) => text.replaceAll(/\{(\w+)\}/g, (whole, name: string) => known[name] ?? whole)

/** What steps need that is no step itself. */
const prepared: Record<string, () => Promise<void>> = {
  deleteSession: async () => {
    known.session = (await make(stack, '/sessions', { name: 'ann', password: annsPassword })).id
  },
  applyRetention: async () => {
    const app = '/repositories/team%2Fapp'
    for (const tag of ['pr-1', 'pr-2'])
      expect((await stack.api('PUT', `${app}/tags/${tag}`, { digest: known.digest })).status).toBeLessThan(300)
    const retention = { rules: [{ tags: ['pr-*'], keepNewest: 1 }] }
    expect((await stack.api('PATCH', app, { retention })).status).toBe(200)
  },
  cancelTask: async () => {
    upstream.add('audit/slow', 'latest', imageOf('slow', 500))
    upstream.when(/./, hang)
    await make(stack, '/remotes', localRemote('team/slow', upstream.url, 'audit/slow'))
    known.hanging = (await startSync(stack, 'team/app', 'team/slow')).id
  },
}

const importEnded = async () => void (await stack.waitForTask(known.importing ?? ''))
Object.assign(prepared, {
  applyImport: importEnded,
  deleteImport: importEnded,
  deleteExport: async () => {
    known.export = (await stack.waitForTask(known.exporting ?? '')).result.exportId
  },
})

/** Sends a step under its own request id. */
async function carryOut({ action, method, path, body, as, keep, of = 'id' }: Step): Promise<void> {
  const login: Record<string, string> =
    as === 'session'
      ? { cookie, 'x-berth-csrf': known.csrf ?? '' }
      : { authorization: as === 'ann' ? basicOfAnn() : basic(stack) }
  const answer = await fetch(`${stack.url}/api/v1${fill(path)}`, {
    method,
    headers: { ...login, 'x-request-id': action, ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: fill(JSON.stringify(body)) } : {}),
  })
  const text = await answer.text()
  const set = answer.headers.get('set-cookie')
  if (set) cookie = set.split(';')[0] ?? ''
  if (answer.status >= 400) throw new Error(`${action}: ${answer.status} ${text}`)
  if (keep) known[keep] = String((JSON.parse(text) as Record<string, unknown>)[of])
  if (action === 'startSync' || action === 'retryTask') await stack.waitForTask(known.again ?? known.run ?? '')
}

let annsPassword = secrets.second
const basicOfAnn = () => `Basic ${btoa(`ann:${annsPassword}`)}`

beforeAll(async () => {
  const event = {
    specversion: '1.0',
    id: randomUUID(),
    type: 'dev.berth.catalog.repository.created.v1',
    sequence: '1',
    data: { repositoryId: randomUUID(), name: 'letters/one', description: '', labels: {}, ownerId: null },
  }
  await query(
    stack.databaseUrl ?? '',
    `insert into auth.dead_letter (consumer, event_id, event, reason, attempts) values ('auth-catalog', $1, $2, 'away', 10)`,
    [event.id, JSON.stringify(event)],
  )
  known.letter = `auth:auth-catalog:${event.id}`
  const target = { url: stack.url, authorization: basic(stack) }
  for (const tag of ['1', '2']) known.digest = (await pushRandomImage(target, 'team/app', tag)).digest
  for (const step of steps) {
    await prepared[step.action]?.()
    await carryOut(step)
    if (step.action === 'updateMe') annsPassword = secrets.third
  }
}, 120_000)

async function entries(filter = ''): Promise<Record<string, unknown>[]> {
  const { status, body } = await stack.api('GET', `/audit?limit=1000${filter}`)
  expect([status, body.unavailable, body.next]).toEqual([200, [], null])
  return body.items
}

test('every change by the API leaves one entry, which says who, what, on what and from where', async () => {
  const all = await entries('&result=done')
  const ann = { id: known.ann, name: 'ann' }
  const found = steps.map(({ action }) => all.filter(({ requestId }) => requestId === action))
  const wanted = steps.map(({ action, as, kind, name, id, detail, namespace }) => [
    expect.objectContaining({
      action,
      actor: as || action === 'openSession' ? ann : expect.objectContaining({ name: 'admin' }),
      object: expect.objectContaining({ kind, name: name && fill(name), ...(id ? { id: known[id] } : {}) }),
      detail: detail && fill(detail),
      namespace,
      count: 1,
      address: '127.0.0.1',
    }),
  ])
  expect(found).toEqual(wanted)
})

test('every route of the API that changes something is among them', () => {
  // The first two change nothing, the third nothing while there is one key; the fourth is tried where images are built (e2e/build). Of an
  // upload the trail has the import, and not each chunk.
  const elsewhere = ['checkRemote', 'planImport', 'rotateRemoteKeys', 'startBuild', 'uploadImportPart']
  const done = new Set([...steps.map(({ action }) => action), ...elsewhere])
  const operations = operationsOf(mergeDocuments() as unknown as OpenApiDocument)
  expect(operations.filter(({ id, method }) => method !== 'GET' && !done.has(id)).map(({ id }) => id)).toEqual([])
})

test('a push, a signature and what is deleted by /v2 leave one entry each, with the tag or digest', async () => {
  const target = `${stack.url}/v2/team/app`
  const headers = { authorization: basic(stack), 'x-request-id': 'by-v2' }
  const send = async (method: string, url: string, body?: object) => {
    const answer = await fetch(url, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) })
    expect([url, answer.status]).toEqual([url, method === 'PUT' ? 201 : 202])
  }
  const head = await fetch(`${target}/manifests/1`, { method: 'HEAD', headers })
  const digest = head.headers.get('docker-content-digest') ?? ''
  const signature = { schemaVersion: 2, type: 'atomic', name: `${digest}@${'a'.repeat(32)}`, content: btoa('signed') }
  await send('PUT', `${stack.url}/extensions/v2/team/app/signatures/${digest}`, signature)
  await send('DELETE', `${target}/manifests/1`)
  const pushed = { url: stack.url, authorization: basic(stack) }
  const { digest: blob } = await pushBlob(pushed, 'team/app', Buffer.from('a blob that nothing names'))
  await send('DELETE', `${target}/blobs/${blob}`)
  const all = await entries('&object=team/app')
  expect(all.filter(({ action }) => action === 'v2.manifest.put')).toEqual(
    ['2', '1'].map((tag) =>
      expect.objectContaining({
        actor: expect.objectContaining({ name: 'admin' }),
        object: { kind: 'repository', id: expect.any(String), name: 'team/app' },
        detail: expect.stringMatching(new RegExp(`^${tag} sha256:`)),
        namespace: 'team',
        result: 'done',
      }),
    ),
  )
  expect(all.filter(({ requestId }) => requestId === 'by-v2')).toEqual([
    expect.objectContaining({ action: 'v2.blob.delete', detail: blob }),
    expect.objectContaining({ action: 'v2.manifest.delete', detail: '1', service: 'catalog' }),
    expect.objectContaining({ action: 'v2.signature.put', detail: digest }),
  ])
})

test('no secret that was sent or given out is in any entry', async () => {
  const text = JSON.stringify(
    await query(
      stack.databaseUrl ?? '',
      `select to_jsonb(audit) from tasks.audit
       union all select entry from auth.audit_outbox union all select entry from sync.audit_outbox`,
    ),
  )
  expect(Object.values(secrets).filter((secret) => text.includes(secret))).toEqual([])
  expect(text).not.toMatch(/br[a-z]_[\w-]{20}/)
})
