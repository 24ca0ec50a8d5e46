import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { getManifest, localRemote, make, repositoryPath } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import { cosign, newKey } from './signing.ts'

const stack = withBerth()
const upstream = withUpstream()

const requiring = (name: string, { publicKey }: { publicKey: string }) => ({
  require: true,
  keys: [{ type: 'cosign', name, publicKey }],
})

async function sync(repository: string, remote: string) {
  const { body } = await stack.api('POST', '/syncs', { repository, remote })
  return stack.waitForTask(body.id)
}

test('a repository takes from upstream only what is signed as it requires, from whatever remote', async () => {
  const key = newKey()
  const image = imageOf('of the repository', 5_000)
  upstream.add('own/tools', 'v1', image)
  await make(stack, '/remotes', localRemote('own-tools', upstream.url, 'own/tools', { retries: 0 }))
  await make(stack, '/repositories', { name: 'own/tools', signatures: requiring('production', key) })
  const message = expect.stringContaining('the repository requires one of "production" (cosign)')
  expect(await sync('own/tools', 'own-tools')).toMatchObject({
    state: 'failed',
    error: { code: 'signature_missing', message },
  })
  cosign(upstream, { repository: 'own/tools', image, key: key.privateKey })
  expect(await sync('own/tools', 'own-tools')).toMatchObject({ state: 'completed', result: { created: true } })
}, 60_000)

test('where remote and repository both require signatures, both have to be there', async () => {
  const [remotes, own] = [newKey(), newKey()]
  const image = imageOf('of both', 5_000)
  upstream.add('own/both', 'v1', image)
  const signatures = requiring('vendor', remotes)
  await make(stack, '/remotes', localRemote('own-both', upstream.url, 'own/both', { retries: 0, signatures }))
  await make(stack, '/repositories', { name: 'own/both', signatures: requiring('production', own) })
  cosign(upstream, { repository: 'own/both', image, key: own.privateKey })
  const ofRemote = expect.stringContaining('"vendor" (cosign), as the remote requires')
  expect(await sync('own/both', 'own-both')).toMatchObject({ state: 'failed', error: { message: ofRemote } })
  cosign(upstream, { repository: 'own/both', image, key: remotes.privateKey })
  const ofRepository = expect.stringContaining('"production" (cosign), as the repository requires')
  expect(await sync('own/both', 'own-both')).toMatchObject({ state: 'failed', error: { message: ofRepository } })
  // The requirement of a repository ends as it began, by its settings.
  await stack.api('PATCH', repositoryPath('own/both'), { signatures: null })
  expect(await sync('own/both', 'own-both')).toMatchObject({ state: 'completed' })
}, 60_000)

test('what is pulled through into a repository is held to what it requires', async () => {
  const key = newKey()
  await make(stack, '/remotes', { ...localRemote('own-hub', upstream.url, '', { retries: 0 }), upstreamName: null })
  const pullThrough = { remote: 'own-hub', trigger: 'anonymous' }
  await make(stack, '/distributions', { name: 'own-hub', basePath: 'own-hub', access: 'public', pullThrough })
  const [signed, unsigned] = [imageOf('signed', 100), imageOf('unsigned', 100)]
  upstream.add('team/app', 'first', imageOf('first', 100))
  upstream.add('team/app', 'signed', signed)
  upstream.add('team/app', 'unsigned', unsigned)
  cosign(upstream, { repository: 'team/app', image: signed, key: key.privateKey })
  const get = (tag: string) => getManifest(`${stack.url}/v2/own-hub/team/app/manifests/${tag}`)
  expect((await get('first')).status).toBe(200)
  await stack.api('PATCH', repositoryPath('own-hub/team/app'), { signatures: requiring('production', key) })
  const refused = await get('unsigned')
  expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('the repository requires')])
  expect((await get('signed')).digest).toBe(signed.manifest.digest)
  // What was here before is served as before.
  expect((await get('first')).status).toBe(200)
}, 60_000)

test('keys of a repository that cannot be read are refused, and shown as they were sent otherwise', async () => {
  const key = { type: 'cosign', name: 'production', publicKey: 'none' }
  const refused = await stack.api('POST', '/repositories', {
    name: 'own/bad',
    signatures: { require: true, keys: [key] },
  })
  expect(refused.status).toBe(400)
  expect(refused.body).toMatchObject({ field: 'signatures.keys[0].publicKey' })
  const none = await stack.api('POST', '/repositories', { name: 'own/bad', signatures: { require: true, keys: [] } })
  expect(none.body).toMatchObject({ field: 'signatures.keys' })
  const signatures = requiring('production', newKey())
  await make(stack, '/repositories', { name: 'own/good', signatures })
  expect((await stack.api('GET', repositoryPath('own/good'))).body).toMatchObject({ signatures })
}, 30_000)
