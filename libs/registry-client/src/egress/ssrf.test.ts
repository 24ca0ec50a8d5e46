import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { RegistryClientOptions } from '../client.ts'
import { redirectTo, status } from '../misbehaving-upstream/index.ts'
import { failure, readAll, repository, type Scene, startScene } from '../testing/client.fixture.ts'
import { createAddressRule, isPrivateAddress } from './address-rules.ts'

let scene: Scene
beforeEach(async () => {
  scene = await startScene()
})
afterEach(() => scene.close())

// As if 127.0.0.1, where our upstream is, were an address of the internet: then all others of this kind must be refused.
const rule = createAddressRule({ refuses: (address) => address !== '127.0.0.1' && isPrivateAddress(address) })
const client = () => scene.client({ allowPrivateAddresses: false, addressRule: rule, retries: 0 })
const targets = [
  'http://127.0.0.2:1',
  'http://169.254.169.254',
  'http://[::1]:1',
  'http://[::ffff:127.0.0.2]:1',
  'http://[::127.0.0.2]:1',
  'http://[2002:7f00:1::]:1',
  'http://[64:ff9b::7f00:2]:1',
  'http://[fec0::1]:1',
  'http://[fe80::1]:1',
  'http://[fd00::1]:1',
  'http://0x7f.2:1',
  'http://2130706434:1',
  'http://0177.0.0.2:1',
  'http://0.0.0.0:1',
  'http://10.0.0.1',
  'http://100.64.0.1',
  'http://224.0.0.1',
]
const layer = () => {
  const [first] = scene.image.layers
  if (!first) throw new Error('no layer')
  return { digest: first.digest, sizeBytes: first.bytes.length }
}

describe.each(targets)('%s is refused', (target) => {
  test('as a registry', async () => {
    const own = scene.client({ url: target, allowPrivateAddresses: false, addressRule: rule })
    expect(await failure(own.ping())).toMatchObject({ code: 'address_refused' })
  })

  test('as an issuer of tokens', async () => {
    scene.upstream.when(/manifests/, status(401, { 'www-authenticate': `Bearer realm="${target}/token"` }))
    expect(await failure(client().resolve(repository, 'latest'))).toMatchObject({ code: 'address_refused' })
  })

  test('as the target of a redirect', async () => {
    scene.upstream.when(
      /blobs/,
      redirectTo(() => `${target}/blob`),
    )
    expect(await failure(readAll(client().blob(repository, layer())))).toMatchObject({ code: 'address_refused' })
  })

  test('as the place of a foreign layer', async () => {
    expect(await failure(readAll(client().foreign(`${target}/layer`, layer())))).toMatchObject({
      code: 'address_refused',
    })
  })
})

describe.each(['gopher://127.0.0.1:6379/_x', 'file:///etc/passwd', 'ftp://127.0.0.1/x', 'data:text/plain,x'])(
  '%s is not followed',
  (target) => {
    test('as an issuer of tokens', async () => {
      scene.upstream.when(/manifests/, status(401, { 'www-authenticate': `Bearer realm="${target}"` }))
      expect(await failure(client().resolve(repository, 'latest'))).toMatchObject({ code: 'protocol' })
    })

    test('as the target of a redirect', async () => {
      scene.upstream.when(
        /manifests/,
        redirectTo(() => target),
      )
      expect(await failure(client().resolve(repository, 'latest'))).toMatchObject({ code: 'protocol' })
    })
  },
)

test('this machine by name is refused', async () => {
  for (const name of ['localhost', 'localhost.', 'x.localhost', 'LOCALHOST'])
    expect(await failure(scene.client({ url: `http://${name}:1`, allowPrivateAddresses: false }).ping())).toMatchObject(
      { code: 'address_refused' },
    )
})

describe('a name', () => {
  const answering = (...answers: string[][]) => {
    let asked = 0
    const { lookup } = createAddressRule({
      openHosts: ['Registry.example.org.'],
      resolve: (_name, _options, done) => {
        const addresses = answers[Math.min(asked++, answers.length - 1)] ?? []
        done(
          null,
          addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
        )
      },
    })
    return (name = 'registry.example.com') =>
      new Promise<unknown>((resolve) => {
        lookup(name, { all: true }, (error, addresses) => resolve(error ?? addresses))
      })
  }

  test('that changes its address after it was checked gains nothing: each connection looks up and checks anew', async () => {
    const look = answering(['8.8.8.8'], ['127.0.0.1'])
    expect(await look()).toEqual([{ address: '8.8.8.8', family: 4 }])
    expect(await look()).toMatchObject({ code: 'address_refused' })
  })

  test.each([[['8.8.8.8', '127.0.0.1']], [['2606:4700::1', '::ffff:10.0.0.1']], [['fe80::1%eth0']], [[]]])(
    'that stands for %j is refused as a whole',
    async (addresses) => expect(await answering(addresses)()).toMatchObject({ code: 'address_refused' }),
  )

  test('that is open may stand for private addresses, and for none at which a cloud gives credentials away', async () => {
    expect(await answering(['10.0.0.7'])('registry.example.org')).toEqual([{ address: '10.0.0.7', family: 4 }])
    for (const address of [
      '169.254.169.254',
      '::ffff:169.254.169.254',
      'fe80::1%eth0',
      'fd00:ec2::254',
      '100.100.100.200',
    ])
      expect(await answering(['10.0.0.7', address])('registry.example.org')).toMatchObject({ code: 'address_refused' })
  })
})

describe('a remote that allows private addresses opens its own hosts, on any port, and no other', () => {
  const pointing = (more: Partial<RegistryClientOptions>, target: string) => {
    scene.upstream.when(
      /blobs/,
      redirectTo(() => `${target}/blob`),
    )
    return failure(readAll(scene.client({ retries: 0, ...more }).blob(repository, layer())))
  }

  test.each(targets.filter((target) => !/169\.254|fe80/.test(target)))(
    '%s is refused, and the field to set is named',
    async (target) => {
      const refused = await pointing({}, target)
      expect(refused).toMatchObject({ code: 'address_refused' })
      expect(refused.message).toContain('redirectHosts')
      const { host } = new URL(target)
      expect(await pointing({ redirectHosts: [host], timeouts: { connectMs: 100 } }, target)).not.toMatchObject({
        code: 'address_refused',
      })
    },
  )

  test.each([
    'http://169.254.169.254',
    'http://[::ffff:a9fe:a9fe]',
    'http://[fe80::1]:1',
    'http://[fd00:ec2::254]',
    'http://100.100.100.200',
    'http://[64:ff9b::a9fe:a9fe]',
    'http://[::ffff:0:a9fe:a9fe]',
    'http://[2002:a9fe:a9fe::]',
  ])('%s is never asked, whatever is named', async (target) => {
    const { host, hostname } = new URL(target)
    const named = { redirectHosts: [host, hostname], tokenHosts: [host] }
    expect(await pointing(named, target)).toMatchObject({ code: 'address_refused' })
    expect(await failure(scene.client({ url: target, retries: 0, ...named }).ping())).toMatchObject({
      code: 'address_refused',
    })
  })

  test('another port of its own host, and an issuer that is named, are asked', async () => {
    expect(await pointing({}, 'http://127.0.0.1:1')).toMatchObject({ code: 'unavailable' })
    scene.upstream.when(/manifests/, status(401, { 'www-authenticate': 'Bearer realm="http://127.0.0.2:1/token"' }))
    const asking = (more: object) => failure(scene.client({ retries: 0, ...more }).resolve(repository, 'latest'))
    expect(await asking({})).toMatchObject({ code: 'address_refused' })
    expect(await asking({ tokenHosts: ['127.0.0.2:1'] })).toMatchObject({ code: 'unavailable' })
  })
})
