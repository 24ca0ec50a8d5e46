import { beforeAll, describe, expect, test } from '@jest/globals'
import { pushBlob, pushManifest, type Target } from '../berth/push.ts'
import { basic, localRemote, make, repositoryPath, sha256, sync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const repository = 'filters/app'
const imageType = 'application/vnd.oci.image.manifest.v1+json'
const indexType = 'application/vnd.oci.image.index.v1+json'
const configType = 'application/vnd.oci.image.config.v1+json'
const stack = withBerth()
let berth: Target
const digests: Record<string, string> = {}

type Image = { config: unknown; configType?: string; more?: object }

async function pushImage(tag: string, { config, configType: type = configType, more = {} }: Image): Promise<void> {
  const layer = await pushBlob(berth, repository, Buffer.from(`layer of ${tag}`))
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: imageType,
    config: { mediaType: type, ...(await pushBlob(berth, repository, Buffer.from(JSON.stringify(config)))) },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...layer }],
    ...more,
  })
  await pushManifest(berth, repository, tag, text, imageType)
  digests[tag] = sha256(text)
  sizes[tag] = text.length
}
const sizes: Record<string, number> = {}

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
  const labels = { config: { Labels: { team: 'web', empty: '' } } }
  await pushImage('amd64-1', {
    config: { os: 'linux', architecture: 'amd64', created: '2026-01-02T03:04:05Z', ...labels },
  })
  await pushImage('arm64-1', { config: { os: 'linux', architecture: 'arm64', variant: 'v8' } })
  await pushImage('chart', { config: { name: 'chart' }, configType: 'application/vnd.cncf.helm.config.v1+json' })
  await pushImage('broken', { config: 'no object at all', more: { annotations: { team: 'ops' } } })
  const children = [
    ['amd64-1', { os: 'linux', architecture: 'amd64' }],
    ['arm64-1', { os: 'linux', architecture: 'arm64', variant: 'v8' }],
  ] as const
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: indexType,
    manifests: children.map(([tag, platform]) => ({
      mediaType: imageType,
      digest: digests[tag],
      size: sizes[tag],
      platform,
    })),
  })
  await pushManifest(berth, repository, 'all', text, indexType)
  digests.all = sha256(text)
}, 90_000)

type Item = { name?: string; digest: string } & Record<string, unknown>

/** All pages of a list. */
async function listed(path: string, query: string): Promise<Item[]> {
  const items: Item[] = []
  for (let next: string | null = ''; next !== null; ) {
    const { status, body } = await stack.api('GET', `${path}?${query}&limit=2${next ? `&cursor=${next}` : ''}`)
    expect({ status, body }).toMatchObject({ status: 200 })
    items.push(...body.items)
    next = body.next
  }
  return items
}
const content = `${repositoryPath(repository)}/versions/5/content`
const everything = ['all', 'amd64-1', 'arm64-1', 'broken', 'chart']

describe('content is found', () => {
  test.each([
    ['', everything],
    ['q=amd64-1', ['amd64-1']],
    ['q=*64-?', ['amd64-1', 'arm64-1']],
    ['q=a[lm]*', ['all', 'amd64-1']],
    ['q=a', []],
    ['kind=image', ['amd64-1', 'arm64-1', 'broken']],
    ['kind=helm', ['chart']],
    ['kind=index', ['all']],
    [`mediaType=${indexType}`, ['all']],
    ['platform=linux/amd64', ['all', 'amd64-1']],
    ['platform=linux/arm64/v8', ['all', 'arm64-1']],
    ['platform=linux/arm64/v7', []],
    ['label=team', ['amd64-1', 'broken']],
    ['label=team=web', ['amd64-1']],
    ['label=empty=', ['amd64-1']],
    ['kind=image&platform=linux/arm64&q=a*', ['arm64-1']],
  ])('with %s, as tags and as manifests, at once after the push', async (query, tags) => {
    for (const path of [content, `${repositoryPath(repository)}/tags`])
      expect((await listed(path, query)).map((item) => item.name)).toEqual(tags)
    if (query.includes('q=')) return
    const manifests = await listed(content, `type=manifest&${query}`)
    expect(manifests.map((item) => item.digest)).toEqual(tags.map((tag) => digests[tag] as string).sort())
  })

  test('by digest, whatever its type', async () => {
    expect((await listed(content, `digest=${digests.chart}`)).map((item) => item.name)).toEqual(['chart'])
    expect(await listed(content, `type=manifest&digest=${digests.chart}`)).toHaveLength(1)
    const blob = sha256('layer of chart')
    expect(await listed(content, `type=blob&digest=${blob}`)).toEqual([{ digest: blob, sizeBytes: 14 }])
  })

  test('with what its image says, and when it came', async () => {
    const [item] = await listed(content, 'q=amd64-1')
    expect(item).toEqual({
      name: 'amd64-1',
      digest: digests['amd64-1'],
      mediaType: imageType,
      sparse: false,
      artifactType: configType,
      sizeBytes: sizes['amd64-1'],
      kind: 'image',
      compressedBytes: 'layer of amd64-1'.length,
      architecture: 'amd64',
      os: 'linux',
      variant: null,
      createdAt: '2026-01-02T03:04:05.000Z',
      labels: { team: 'web', empty: '' },
      pushedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      pushedBy: stack.user,
      pushedById: expect.stringMatching(/^[0-9a-f-]{36}$/),
      lastPulledAt: null,
    })
  })

  test('after a sync too', async () => {
    const login = { username: stack.user, password: stack.password }
    await make(stack, '/repositories', { name: 'filters/synced' })
    await make(stack, '/remotes', localRemote('filters', stack.url, repository, login))
    await sync(stack, 'filters/synced', 'filters')
    const found = await listed(`${repositoryPath('filters/synced')}/tags`, 'platform=linux/amd64&label=team=web')
    expect(found.map((item) => item.name)).toEqual(['amd64-1'])
  })
})

test.each([
  ['kind=picture', 'kind'],
  ['digest=sha256:0', 'digest'],
  ['platform=linux', 'platform'],
  ['platform=linux/arm64/v8/x', 'platform'],
  ['q=x[a', 'q'],
  ['label==x', 'label'],
  ['type=manifest&q=a', 'q'],
  ['type=blob&kind=image', 'kind'],
  ['type=picture', 'type'],
])('%s is refused with the field', async (query, field) => {
  expect(await stack.api('GET', `${content}?${query}`)).toMatchObject({ status: 400, body: { field } })
})
