import { randomBytes } from 'node:crypto'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { pushBlob, pushManifest, pushRandomImage, send, type Target } from '../berth/push.ts'
import { basic, localRemote, make, repositoryPath, startSync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const indexType = 'application/vnd.oci.image.index.v1+json'
const imageType = 'application/vnd.oci.image.manifest.v1+json'
const stack = withBerth()
let berth: Target

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
}, 90_000)

const digestOf = async (repository: string, tag: string) =>
  (await send(berth, 'HEAD', `/v2/${repository}/manifests/${tag}`, 200)).headers.get('docker-content-digest')

describe('an immutable tag', () => {
  const repository = 'settings/releases'
  let released: string

  beforeAll(async () => {
    await make(stack, '/repositories', { name: repository, immutableTags: ['v*'] })
    await make(stack, '/distributions', { name: repository, basePath: repository, repository })
    released = (await pushRandomImage(berth, repository, 'v1')).digest
    await pushRandomImage(berth, repository, 'latest')
  })
  const refuse = (method: string, path: string) =>
    expect(send(berth, method, path, 202)).rejects.toThrow(/403.*DENIED.*immutable/)

  test('can be made, and does not move by a push; others do', async () => {
    await expect(pushRandomImage(berth, repository, 'v1')).rejects.toThrow(/403.*DENIED.*immutable/)
    await pushRandomImage(berth, repository, 'latest')
    expect(await digestOf(repository, 'v1')).toBe(released)
  })

  test('is not deleted, by name or with its manifest', async () => {
    await refuse('DELETE', `/v2/${repository}/manifests/v1`)
    await refuse('DELETE', `/v2/${repository}/manifests/${released}`)
    expect(await digestOf(repository, 'v1')).toBe(released)
  })

  test('does not go by a rollback to before it was made', async () => {
    const { status, body } = await stack.api('POST', `${repositoryPath(repository)}/rollback`, { version: 0 })
    expect({ status, body }).toMatchObject({ status: 403, body: { code: 'tag_immutable', tags: ['v1'] } })
    expect(await digestOf(repository, 'v1')).toBe(released)
  })

  test('is neither moved nor taken away by any call of the API', async () => {
    const other = 'settings/other'
    const { digest } = await pushRandomImage(berth, other, 'v1')
    await stack.api('POST', `${repositoryPath(repository)}/modify`, { add: [{ digest, from: { repository: other } }] })
    const from = { repository: other }
    const { body: before } = await stack.api('GET', repositoryPath(repository))
    for (const [method, path, sent] of [
      ['PUT', '/tags/v1', { digest }],
      ['DELETE', '/tags/v1', undefined],
      ['POST', '/modify', { add: [{ tag: 'v1', from }] }],
      ['POST', '/modify', { remove: [{ tag: 'v1' }] }],
      ['POST', '/modify', { remove: [{ digest: released }], force: true }],
      ['POST', '/modify', { remove: ['*'] }],
      ['POST', '/copy', { from, tags: ['v1'] }],
    ] as const) {
      const { status, body } = await stack.api(method, repositoryPath(repository) + path, sent)
      expect({ path, sent, status, body }).toMatchObject({ status: 403, body: { code: 'tag_immutable', tags: ['v1'] } })
    }
    const { body: after } = await stack.api('GET', repositoryPath(repository))
    expect(after.latestVersion).toBe(before.latestVersion)
    expect(await digestOf(repository, 'v1')).toBe(released)
  })

  test('is not moved by a sync, which fails and says why', async () => {
    const upstream = 'settings/upstream'
    await pushRandomImage(berth, upstream, 'v1')
    const login = { username: stack.user, password: stack.password }
    await make(stack, '/remotes', localRemote('releases', stack.url, upstream, login))
    const task = await stack.waitForTask((await startSync(stack, repository, 'releases')).id)
    expect(task).toMatchObject({ state: 'failed', error: { message: expect.stringContaining('immutable') } })
    expect(await digestOf(repository, 'v1')).toBe(released)
  })

  test('moves once its pattern is taken out', async () => {
    const { status, body } = await stack.api('PATCH', repositoryPath(repository), { immutableTags: [] })
    expect({ status, body }).toMatchObject({ status: 200, body: { immutableTags: [] } })
    const { digest } = await pushRandomImage(berth, repository, 'v1')
    expect(await digestOf(repository, 'v1')).toBe(digest)
  })

  test('is named by a pattern that makes sense, or the setting is refused with the place of the fault', async () => {
    const { status, body } = await stack.api('PATCH', repositoryPath(repository), { immutableTags: ['v*', 'x[a'] })
    expect({ status, body }).toMatchObject({ status: 400, body: { field: 'immutableTags[1]' } })
    expect(body.detail).toContain('position 2')
  })
})

test('an index without all its manifests is refused, unless the repository takes sparse ones', async () => {
  const repository = 'settings/sparse'
  const { digest, text } = await pushRandomImage(berth, repository, 'one')
  const here = { mediaType: imageType, digest, size: text.length, platform: { os: 'linux', architecture: 'amd64' } }
  const elsewhere = await pushRandomImage(berth, 'settings/elsewhere', 'one')
  const missing = { mediaType: imageType, digest: elsewhere.digest, size: elsewhere.text.length }
  const index = JSON.stringify({ schemaVersion: 2, mediaType: indexType, manifests: [here, missing] })
  await expect(pushManifest(berth, repository, 'all', index, indexType)).rejects.toThrow(/400.*MANIFEST_BLOB_UNKNOWN/)
  await stack.api('PATCH', repositoryPath(repository), { sparseIndexes: true })
  await pushManifest(berth, repository, 'all', index, indexType)
  await send(berth, 'GET', `/v2/${repository}/manifests/${digest}`, 200)
  // What the index names is elsewhere in Berth, but it was not pushed here.
  await send(berth, 'GET', `/v2/${repository}/manifests/${elsewhere.digest}`, 404)
})

test('a foreign layer gives nobody the bytes of a blob in another repository', async () => {
  const secret = await pushBlob(berth, 'settings/private', randomBytes(1_000))
  const repository = 'settings/curious'
  const config = await pushBlob(berth, repository, Buffer.from('{}'))
  const foreign = {
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    urls: ['https://example.org/x'],
    ...secret,
  }
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: imageType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: [foreign],
  })
  await pushManifest(berth, repository, 'x', text, imageType)
  await send(berth, 'GET', `/v2/${repository}/blobs/${secret.digest}`, 404)
})
