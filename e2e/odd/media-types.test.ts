import { createHash } from 'node:crypto'
import { mediaTypes } from '@berth/oci'
import { expect, test } from '@jest/globals'
import { basic, make, manifestTypes } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const stack = withBerth()
let count = 0

/** An image whose manifest does not say what it is, pushed into fresh repositories under a type each. */
function untyped() {
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', nonce: ++count }))
  const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const body = {
    schemaVersion: 2,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digestOf(config),
      size: config.length,
    },
    layers: [],
  }
  const bytes = Buffer.from(JSON.stringify(body))
  const authorization = basic(stack)
  const push = async (name: string, type: string) => {
    const octets = { authorization, 'content-type': 'application/octet-stream' }
    const url = `${stack.url}/v2/${name}`
    const upload = `${url}/blobs/uploads/?digest=${digestOf(config)}`
    expect((await fetch(upload, { method: 'POST', headers: octets, body: config })).status).toBe(201)
    const headers = { authorization, 'content-type': type }
    return (await fetch(`${url}/manifests/v1`, { method: 'PUT', headers, body: bytes })).status
  }
  return { digest: digestOf(bytes), push }
}
const repository = async () => {
  const name = `types/${++count}`
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  return name
}
const typesOf = async (name: string, digest: string) => {
  const read = async (reference: string, method: string) => {
    const headers = { accept: manifestTypes }
    return (await fetch(`${stack.url}/v2/${name}/manifests/${reference}`, { method, headers })).headers.get(
      'content-type',
    )
  }
  const { body } = await stack.api('GET', `/repositories/${encodeURIComponent(name)}/tags`)
  const listed = body.items.map((item: { mediaType: string }) => item.mediaType)
  return new Set([await read('v1', 'GET'), await read('v1', 'HEAD'), await read(digest, 'GET'), ...listed])
}
const { ociManifest, dockerManifest } = mediaTypes

test('the type of a manifest belongs to it in a repository, as it was pushed there', async () => {
  const { digest, push } = untyped()
  const [docker, oci, copied, vague] = [await repository(), await repository(), await repository(), await repository()]
  expect(await push(docker, dockerManifest)).toBe(201)
  expect(await push(oci, ociManifest)).toBe(201)
  expect(await push(vague, 'application/octet-stream')).toBe(201)
  expect(await typesOf(docker, digest)).toEqual(new Set([dockerManifest]))
  expect(await typesOf(oci, digest)).toEqual(new Set([ociManifest]))
  expect(await typesOf(vague, digest)).toEqual(new Set([ociManifest]))
  const copy = { from: { repository: docker }, tags: ['v1'] }
  const answer = await stack.api('POST', `/repositories/${encodeURIComponent(copied)}/copy`, copy)
  expect({ status: answer.status, body: answer.body }).toMatchObject({ status: 201 })
  expect(await typesOf(copied, digest)).toEqual(new Set([dockerManifest]))
})

test('the first type in a repository stays until its manifest is deleted, and pushing again makes no version', async () => {
  const { digest, push } = untyped()
  const name = await repository()
  await push(name, dockerManifest)
  const version = async () => (await stack.api('GET', `/repositories/${encodeURIComponent(name)}`)).body.latestVersion
  const before = await version()
  expect(await push(name, ociManifest)).toBe(201)
  expect(await version()).toBe(before)
  expect(await typesOf(name, digest)).toEqual(new Set([dockerManifest]))
  const headers = { authorization: basic(stack) }
  const deleted = await fetch(`${stack.url}/v2/${name}/manifests/${digest}`, { method: 'DELETE', headers })
  expect(deleted.status).toBe(202)
  await push(name, ociManifest)
  expect(await typesOf(name, digest)).toEqual(new Set([ociManifest]))
  const back = await stack.api('POST', `/repositories/${encodeURIComponent(name)}/rollback`, { version: before })
  expect({ status: back.status, body: back.body }).toMatchObject({ status: 201 })
  expect(await typesOf(name, digest)).toEqual(new Set([dockerManifest]))
})

test('a manifest is no blob, unless it was pushed as one too', async () => {
  const { digest, push } = untyped()
  const name = await repository()
  await push(name, ociManifest)
  const blob = `${stack.url}/v2/${name}/blobs/${digest}`
  for (const headers of [new Headers(), new Headers({ authorization: basic(stack) })])
    for (const method of ['GET', 'HEAD']) expect((await fetch(blob, { method, headers })).status).toBe(404)
  const bytes = Buffer.from(await (await fetch(`${stack.url}/v2/${name}/manifests/${digest}`)).arrayBuffer())
  const octets = { authorization: basic(stack), 'content-type': 'application/octet-stream' }
  const upload = `${stack.url}/v2/${name}/blobs/uploads/?digest=${digest}`
  expect((await fetch(upload, { method: 'POST', headers: octets, body: bytes })).status).toBe(201)
  // No manifest names it, so only who may push sees it.
  for (const method of ['GET', 'HEAD']) expect((await fetch(blob, { method, headers: octets })).status).toBe(200)
})
