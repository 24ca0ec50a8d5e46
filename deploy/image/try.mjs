// Pushes an image of one kilobyte to a Berth, pulls it, compares, and deletes it: `helm test` runs this. The login is admin's.
import { createHash, randomBytes } from 'node:crypto'

const { BERTH_TRY_URL: origin, BERTH_ADMIN_PASSWORD: password } = process.env
if (!origin || !password) {
  process.stderr.write('berth try: set BERTH_TRY_URL to the origin of a Berth and BERTH_ADMIN_PASSWORD\n')
  process.exit(64)
}
const authorization = `Basic ${Buffer.from(`admin:${password}`).toString('base64')}`
const repository = `berth-try-${randomBytes(6).toString('hex')}`
const manifestType = 'application/vnd.oci.image.manifest.v1+json'
const answerMs = 30_000

async function ask(method, place, { body, type, expected = [200] } = {}) {
  const headers = { authorization, ...(type && { 'content-type': type }) }
  const response = await fetch(new URL(place, origin), {
    method,
    headers,
    body,
    signal: AbortSignal.timeout(answerMs),
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  if (response.status === 401)
    throw new Error('admin has another password by now: give it as auth.adminExistingSecret of the chart')
  if (!expected.includes(response.status))
    throw new Error(`${method} ${place} was answered with ${response.status}: ${bytes.toString().slice(0, 500)}`)
  return bytes
}

const say = (text) => process.stdout.write(`${text}\n`)
const digestOf = (bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

async function pushBlob(bytes, mediaType) {
  const digest = digestOf(bytes)
  const place = `/v2/${repository}/blobs/uploads/?digest=${encodeURIComponent(digest)}`
  await ask('POST', place, { body: bytes, type: 'application/octet-stream', expected: [201] })
  return { mediaType, digest, size: bytes.length }
}

async function main() {
  const layer = randomBytes(1_024)
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } }),
  )
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: await pushBlob(config, 'application/vnd.oci.image.config.v1+json'),
    layers: [await pushBlob(layer, 'application/vnd.oci.image.layer.v1.tar')],
  })
  await ask('PUT', `/v2/${repository}/manifests/1`, { body: manifest, type: manifestType, expected: [201] })
  say(`pushed ${repository}:1`)
  const pulled = await ask('GET', `/v2/${repository}/manifests/1`)
  if (pulled.toString() !== manifest) throw new Error('the manifest that was pulled is another one')
  const pulledLayer = await ask('GET', `/v2/${repository}/blobs/${digestOf(layer)}`)
  if (!pulledLayer.equals(layer)) throw new Error('the layer that was pulled is another one')
  say('pulled it, byte for byte')
  await ask('DELETE', `/api/v1/distributions/${repository}`, { expected: [204, 404] })
  await ask('DELETE', `/api/v1/repositories/${repository}`, { expected: [204] })
  say('deleted it: this Berth works')
}

await main().catch((error) => {
  process.stderr.write(`berth try: ${error.message}${error.cause ? ` (${error.cause.message})` : ''}\n`)
  process.exitCode = 1
})
