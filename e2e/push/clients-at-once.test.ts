import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { blobOf, newImage, writeLayout } from '../bench/content.ts'
import { send } from '../berth/push.ts'
import { basic, repositoryPath } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import type { Client } from '../clients/client.ts'
import { startPodman } from '../clients/podman.ts'
import { pushImage, sharedImages } from '../servers/images.ts'
import { findProgram } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const execute = promisify(execFile)
const repository = 'crowd/app'
const skopeos = 16
const podmans = 4
const clients = skopeos + podmans
const missing = ['skopeo', 'podman', 'buildah', 'busybox'].filter((program) => !findProgram(program))
const whenInstalled = missing.length === 0 ? test : test.skip

const stack = withBerth()
let folder: string
let podman: Client
beforeAll(async () => {
  folder = makeTemporaryFolder('crowd')
  podman = await startPodman()
}, 90_000)
afterAll(async () => {
  await podman?.stop()
  if (folder) removeFolder(folder)
}, 30_000)

whenInstalled(
  'twenty real clients push images that share layers into one repository at once; all succeed and every version is whole',
  async () => {
    const shared = [blobOf(Buffer.alloc(300_000, 1)), blobOf(Buffer.alloc(200_000, 2))]
    const images = Array.from({ length: skopeos }, () => newImage(4, 20_000, shared))
    images.forEach((image, i) => writeLayout(path.join(folder, `layout-${i}`), image, 'x'))
    const built = await sharedImages()
    const pulled = `${stack.host}/crowd/source:small`
    await pushImage(built, 'small', pulled, stack)
    await podman.login(stack.host, stack)
    await podman.pull(pulled)
    const credentials = `${stack.user}:${stack.password}`
    const bySkopeo = (i: number) =>
      execute('skopeo', [
        '--insecure-policy',
        'copy',
        '--quiet',
        '--dest-tls-verify=false',
        '--dest-creds',
        credentials,
        `oci:${path.join(folder, `layout-${i}`)}:x`,
        `docker://${stack.host}/${repository}:client-${i}`,
      ])
    const byPodman = (i: number) => podman.push(pulled, `${stack.host}/${repository}:client-${i}`)
    await Promise.all(Array.from({ length: clients }, (_, i) => (i < skopeos ? bySkopeo(i) : byPodman(i))))

    const { body } = await stack.api('GET', `${repositoryPath(repository)}/versions?limit=1000`)
    const versions = body.items as { number: number; counts: { present: { tags: number } } }[]
    expect(versions[0]?.counts.present.tags).toBe(clients)
    for (const { number, counts } of versions) expect(counts.present.tags).toBe(number)
    const berth = { url: stack.url, authorization: basic(stack) }
    for (let i = 0; i < clients; i++) {
      const answer = await send(berth, 'GET', `/v2/${repository}/manifests/client-${i}`, 200)
      const { layers } = JSON.parse(await answer.text()) as { layers: { digest: string }[] }
      expect(layers).toHaveLength(images[i]?.layers.length ?? 1)
      for (const { digest } of layers) await send(berth, 'HEAD', `/v2/${repository}/blobs/${digest}`, 200)
    }
  },
  90_000,
)
