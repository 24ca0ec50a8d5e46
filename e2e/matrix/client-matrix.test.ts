import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect } from '@jest/globals'
import { basic, getManifest, sha256 } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { type BuiltImages, pushImage, sharedImages } from '../servers/images.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { describeBuildah, describePodman } from './builders.ts'
import { describeContainerd } from './containerd.ts'
import type { Manifest, Scene } from './scene.ts'
import { describeSkopeo } from './skopeo.ts'

const missing = missingPrograms('skopeo', 'buildah', 'busybox')
const group = missing.length > 0 ? describe.skip : describe

group(`the clients that people use${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`, () => {
  const stack = withBerth()
  let folder: string
  let images: BuiltImages
  const scene: Scene = {
    host: () => stack.host,
    url: () => stack.url,
    password: () => stack.password,
    images: () => images,
    at: (...names) => path.join(folder, ...names),
    served: async (repository, reference) => {
      const path = `/v2/${repository}/manifests/${reference}`
      const { status, text, digest } = await getManifest(`${stack.url}${path}`, stack)
      expect(status).toBe(200)
      expect(sha256(text)).toBe(digest)
      return { digest, manifest: JSON.parse(text) as Manifest }
    },
  }

  beforeAll(async () => {
    folder = makeTemporaryFolder('client-matrix')
    images = await sharedImages()
    const auths = { [stack.host]: { auth: basic(stack).slice('Basic '.length) } }
    writeFileSync(scene.at('auth.json'), JSON.stringify({ auths }))
    for (const tag of [...images.singles, images.list])
      await pushImage(images, tag, `${stack.host}/clients/app:${tag}`, stack)
  }, 120_000)
  afterAll(async () => {
    if (folder) removeFolder(folder)
  }, 30_000)

  describeSkopeo(scene)
  describePodman(scene)
  describeBuildah(scene)
  describeContainerd(scene)
})
