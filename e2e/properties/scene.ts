import { randomBytes } from 'node:crypto'
import type { Berth } from '../berth/berth.ts'
import { basic, make } from '../berth/requests.ts'
import { berthTarget } from '../conformance/berth.ts'
import { newManifest } from '../conformance/manifests.ts'
import { Wire } from '../conformance/wire.ts'

export const publicName = 'open/app'
export const privateName = 'closed/app'

/** A Berth that holds one public and one private image, and credentials of several kinds. */
export type Scene = {
  stack: Berth
  wire: Wire
  layer: Buffer
  /** The digests of what both names hold. */
  digests: { manifest: string; layer: string; config: string }
  authorization: { admin: string; otherAdmin: string; reader: string; anonymous: string }
}

/** Puts the images and users of the scene into a Berth. */
export async function makeScene(stack: Berth): Promise<Scene> {
  const wire = new Wire(berthTarget(stack))
  const layer = randomBytes(20_000)
  const [manifest, digest] = await pushBoth(wire, layer)
  const found = (await stack.api('GET', `/distributions?q=${publicName}`)).body.items as {
    id: string
    basePath: string
  }[]
  const id = found.find(({ basePath }) => basePath === publicName)?.id
  await stack.api('PATCH', `/distributions/${id}`, { access: 'public' })
  const password = randomBytes(12).toString('hex')
  await make(stack, '/users', { name: 'reader', password })
  await make(stack, '/users', { name: 'second', password, admin: true })
  const tokenOf = async (user?: string) => {
    const scope = [publicName, privateName].map((name) => `&scope=repository:${name}:pull,push,delete`).join('')
    const headers: Record<string, string> = user ? { authorization: basic({ user, password }) } : {}
    const answer = await fetch(`${stack.url}/token?service=berth${scope}`, { headers })
    return `Bearer ${((await answer.json()) as { token: string }).token}`
  }
  return {
    stack,
    wire,
    layer,
    digests: { manifest: digest, layer: manifest.layers[2]?.digest ?? '', config: manifest.config.digest },
    authorization: {
      admin: basic(stack),
      otherAdmin: basic({ user: 'second', password }),
      reader: await tokenOf('reader'),
      anonymous: await tokenOf(),
    },
  }
}

type Manifest = { config: { digest: string }; layers: { digest: string; size: number }[] }

async function pushBoth(wire: Wire, layer: Buffer): Promise<[Manifest, string]> {
  const manifest = (await newManifest(wire, publicName)) as unknown as Manifest
  for (const name of [publicName, privateName]) {
    for (const { digest } of [manifest.config, ...manifest.layers])
      await wire.send('POST', `/v2/${name}/blobs/uploads/?mount=${digest}&from=${publicName}`)
    const digest = await wire.push(name, layer)
    if (manifest.layers.length < 3) manifest.layers.push({ ...manifest.layers[0], digest, size: layer.length })
    const { reply } = await wire.pushManifest(name, manifest, 'latest')
    if (reply.status !== 201) throw new Error(`the image of the scene is refused: ${reply.body.toString()}`)
  }
  const { headers } = await wire.send('HEAD', `/v2/${publicName}/manifests/latest`)
  return [manifest, String(headers['docker-content-digest'])]
}
