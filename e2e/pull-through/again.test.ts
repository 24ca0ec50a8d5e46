import { imageOf, startMisbehavingUpstream } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { localRemote, make, manifestTypes, repositoryPath } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth()
const upstream = withUpstream()

const base = 'hub'
async function pull(name: string, tag: string): Promise<{ status: number; text: string }> {
  const headers = { accept: manifestTypes }
  const answer = await fetch(`${stack.url}/v2/${base}/${name}/manifests/${tag}`, { headers })
  return { status: answer.status, text: await answer.text() }
}
const makeRemote = (name: string, url: string) =>
  make(stack, '/remotes', { ...localRemote(name, url, '', { retries: 0 }), upstreamName: null })
const makeHub = (remote: string) =>
  make(stack, '/distributions', {
    name: base,
    basePath: base,
    access: 'public',
    pullThrough: { remote, trigger: 'anonymous' },
  })
const deleteHub = async () => expect((await stack.api('DELETE', `/distributions/${base}`)).status).toBe(204)

test('a pull-through distribution that is deleted and made again goes on with what came by it', async () => {
  await makeRemote('first', upstream.url)
  await makeHub('first')
  upstream.add('again/kept', 'v1', imageOf('kept', 3_000))
  expect((await pull('again/kept', 'v1')).status).toBe(200)
  await deleteHub()
  expect((await pull('again/kept', 'v1')).status).toBe(401)
  await makeHub('first')
  upstream.add('again/kept', 'v2', imageOf('kept later', 3_000))
  for (const tag of ['v1', 'v2']) expect((await pull('again/kept', tag)).status).toBe(200)
})

test('what was changed by anything else is not taken over, and the refusal says what helps', async () => {
  upstream.add('again/changed', 'v1', imageOf('changed', 3_000))
  expect((await pull('again/changed', 'v1')).status).toBe(200)
  const path = repositoryPath(`${base}/again/changed`)
  await deleteHub()
  const [{ digest }] = (await stack.api('GET', `${path}/tags`)).body.items
  expect((await stack.api('PUT', `${path}/tags/mine`, { digest })).status).toBeLessThan(300)
  await makeHub('first')
  const refused = await pull('again/changed', 'v1')
  expect(refused).toMatchObject({
    status: 409,
    text: expect.stringMatching(/Delete that repository, or give the pull-through distribution another base path/),
  })
  expect((await stack.api('DELETE', path)).status).toBe(204)
  expect((await pull('again/changed', 'v1')).status).toBe(200)
})

test('what one upstream has is never mixed with what another has under the same name', async () => {
  const other = await startMisbehavingUpstream()
  try {
    other.add('again/kept', 'v3', imageOf('strange', 3_000))
    await deleteHub()
    await makeRemote('other', other.url)
    await makeHub('other')
    expect((await pull('again/kept', 'v3')).status).toBe(409)
  } finally {
    await other.close()
  }
})
