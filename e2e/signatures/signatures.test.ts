import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic, getManifest, make, repositoryPath, sha256, versionNumbers } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { runner } from '../clients/client.ts'
import { writeDockerImage } from '../schema1/docker-image.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const name = 'team/signed'
const content = (bytes: string | Buffer) => Buffer.from(bytes).toString('base64')

describe('atomic signatures', () => {
  const stack = withBerth()
  let digest = ''
  beforeAll(async () => {
    digest = (await pushRandomImage({ url: stack.url, authorization: basic(stack) }, name, 'latest')).digest
  }, 60_000)

  const newName = (of = digest) => `${of}@${randomBytes(16).toString('hex')}`
  const signature = (more: object = {}) => {
    return { schemaVersion: 2, name: newName(), type: 'atomic', content: content(randomBytes(500)), ...more }
  }
  const send = async (method: string, of: string, body?: unknown, as = basic(stack), place = name) => {
    const answer = await fetch(`${stack.url}/extensions/v2/${place}/signatures/${of}`, {
      method,
      headers: new Headers(as === '' ? [] : [['authorization', as]]),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
  }
  const list = async (of = digest, place = name) => {
    const { status, body } = await send('GET', of, undefined, basic(stack), place)
    expect(status).toBe(200)
    return body.signatures
  }
  const latest = async () => {
    const { body } = await stack.api('GET', `${repositoryPath(name)}/versions`)
    return body.items[0]
  }

  test('are announced to everybody who pings', async () => {
    const headers: Record<string, string>[] = [{}, { authorization: basic(stack) }]
    for (const sent of headers) {
      const answer = await fetch(`${stack.url}/v2/`, { headers: sent })
      await answer.arrayBuffer()
      expect(answer.headers.get('x-registry-supports-signatures')).toBe('1')
    }
  })

  test('one that is put is served at once, and makes a version', async () => {
    const before = await latest()
    const mine = signature()
    expect(await list()).toEqual([])
    expect((await send('PUT', digest, mine)).status).toBe(201)
    expect(await list()).toEqual([mine])
    const none = { tags: 0, manifests: 0, blobs: 0, signatures: 0 }
    expect(await latest()).toMatchObject({
      number: before.number + 1,
      cause: 'push',
      counts: {
        present: { ...before.counts.present, signatures: 1 },
        added: { ...none, signatures: 1 },
        removed: none,
      },
    })
    expect((await latest()).contentHash).not.toBe(before.contentHash)
    const { body } = await stack.api(
      'GET',
      `${repositoryPath(name)}/versions/${before.number + 1}/content?type=signature`,
    )
    expect(body.items).toEqual([{ name: mine.name, digest, type: 'atomic', content: mine.content }])
    // The same again is done already; another under its name is not.
    expect((await send('PUT', digest, mine)).status).toBe(201)
    const other = await send('PUT', digest, { ...mine, content: content('other') })
    expect(other).toMatchObject({ status: 409, body: { errors: [{ code: 'SIGNATURE_EXISTS' }] } })
    expect(await list()).toEqual([mine])
    expect((await latest()).number).toBe(before.number + 1)
  })

  test('go with their manifest, come back with it, and stay in the versions that had them', async () => {
    const pushed = await pushRandomImage({ url: stack.url, authorization: basic(stack) }, name, 'rolled')
    const mine = signature({ name: newName(pushed.digest) })
    expect((await send('PUT', pushed.digest, mine)).status).toBe(201)
    const [version] = await versionNumbers(stack, name)
    await make(stack, '/distributions', { name: 'pinned', basePath: 'pinned', repository: name, version })
    const manifest = `${stack.url}/v2/${name}/manifests/${pushed.digest}`
    const gone = await fetch(manifest, { method: 'DELETE', headers: { authorization: basic(stack) } })
    expect(gone.status).toBe(202)
    expect((await latest()).counts.removed.signatures).toBe(1)
    expect(await list(pushed.digest)).toEqual([])
    expect(await list(pushed.digest, 'pinned')).toEqual([mine])
    expect((await stack.api('POST', `${repositoryPath(name)}/rollback`, { version })).status).toBe(201)
    expect(await list(pushed.digest)).toEqual([mine])
    // Through a pinned distribution nothing changes.
    const refused = await send(
      'PUT',
      pushed.digest,
      signature({ name: newName(pushed.digest) }),
      basic(stack),
      'pinned',
    )
    expect(refused).toMatchObject({ status: 405, body: { errors: [{ code: 'UNSUPPORTED' }] } })
  })

  test('of one manifest are 64 at most', async () => {
    const pushed = await pushRandomImage({ url: stack.url, authorization: basic(stack) }, name, 'many')
    const put = () => send('PUT', pushed.digest, signature({ name: newName(pushed.digest) }))
    for (let i = 0; i < 64; i++) expect((await put()).status).toBe(201)
    expect(await put()).toMatchObject({ status: 403, body: { errors: [{ code: 'DENIED' }] } })
    expect(await list(pushed.digest)).toHaveLength(64)
  })

  test('are as private as what they sign', async () => {
    for (const method of ['GET', 'PUT']) {
      const refused = await send(method, digest, method === 'PUT' ? signature() : undefined, '')
      expect(refused).toMatchObject({ status: 401, body: { errors: [{ code: 'UNAUTHORIZED' }] } })
    }
    await stack.api('PATCH', '/distributions/team%2Fsigned', { access: 'public' })
    expect((await send('GET', digest, undefined, '')).status).toBe(200)
    expect((await send('PUT', digest, signature(), '')).status).toBe(401)
  })

  test('need a manifest that is there', async () => {
    const missing = sha256('nothing')
    const refused = await send('PUT', missing, signature({ name: newName(missing) }))
    expect(refused).toMatchObject({ status: 404, body: { errors: [{ code: 'MANIFEST_UNKNOWN' }] } })
    expect(await list(missing)).toEqual([])
    expect((await send('GET', missing, undefined, basic(stack), 'team/none')).status).toBe(404)
    expect((await send('DELETE', digest)).status).toBe(405)
    expect((await send('GET', 'sha256:short')).status).toBe(400)
  })

  test.each<[string, string | undefined, () => unknown]>([
    ['of another schema', 'schemaVersion', () => signature({ schemaVersion: 1 })],
    ['of another type', 'type', () => signature({ type: 'sigstore' })],
    ['named after another manifest', 'name', () => signature({ name: newName(sha256('other')) })],
    ['with a short name', 'name', () => signature({ name: `${digest}@abc` })],
    ['with a name that goes on', 'name', () => signature({ name: `${newName()}@x` })],
    ['without content', 'content', () => signature({ content: '' })],
    ['whose content is no base64', 'content', () => signature({ content: '%%%' })],
    ['that is no JSON', undefined, () => '{'],
    ['that is no object', undefined, () => '7'],
  ])('one %s is refused', async (_name, field, body) => {
    const before = await versionNumbers(stack, name)
    const { status, body: answer } = await send('PUT', digest, body())
    expect(status).toBe(400)
    expect(answer.errors[0]).toMatchObject({ code: 'SIGNATURE_INVALID', ...(field ? { detail: { field } } : {}) })
    expect(await versionNumbers(stack, name)).toEqual(before)
  })

  test('one over 16 KiB is refused', async () => {
    for (const size of [(16 << 10) + 1, 1 << 20])
      expect((await send('PUT', digest, signature({ content: content(Buffer.alloc(size)) }))).status).toBe(413)
    expect((await send('PUT', digest, signature({ content: content(Buffer.alloc(16 << 10)) }))).status).toBe(201)
  })

  const missing = missingPrograms('skopeo', 'podman', 'gpg')
  const group = missing.length === 0 ? describe : describe.skip
  group(
    `made and required by real clients${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`,
    () => {
      let folder: string
      const at = (...names: string[]) => path.join(folder, ...names)
      const gpg = (...args: string[]) =>
        promisify(execFile)('gpg', ['--batch', '--homedir', at('gpg'), '--pinentry-mode', 'loopback', ...args])
      const client = (program: string, ...before: string[]) =>
        runner(program, before, { TMPDIR: folder, GNUPGHOME: at('gpg'), REGISTRY_AUTH_FILE: at('auth.json') })
      const signers = ['signer@berth.example', 'other@berth.example'] as const

      beforeAll(async () => {
        folder = makeTemporaryFolder('sign')
        mkdirSync(at('gpg'), { mode: 0o700 })
        for (const signer of signers) {
          await gpg('--passphrase', '', '--quick-generate-key', signer, 'rsa2048', 'sign')
          writeFileSync(at(`${signer}.asc`), (await gpg('--armor', '--export', signer)).stdout)
          const requirement = { type: 'signedBy', keyType: 'GPGKeys', keyPath: at(`${signer}.asc`) }
          const policy = { default: [{ type: 'reject' }], transports: { docker: { [stack.host]: [requirement] } } }
          writeFileSync(at(`${signer}.json`), JSON.stringify(policy))
        }
        writeFileSync(at('auth.json'), JSON.stringify({ auths: { [stack.host]: { auth: basic(stack).slice(6) } } }))
      }, 60_000)
      afterAll(async () => {
        if (!folder) return
        await promisify(execFile)('gpgconf', ['--homedir', at('gpg'), '--kill', 'all'])
        removeFolder(folder)
      }, 30_000)

      const noTls = ['--src-tls-verify=false', '--dest-tls-verify=false']
      const pullUnder = async (signer: string, reference: string) => {
        const skopeo = client('skopeo', '--policy', at(`${signer}.json`))
        const place = at(`out-${randomBytes(4).toString('hex')}`)
        await skopeo(['copy', '--quiet', ...noTls, `docker://${stack.host}/${reference}`, `dir:${place}`])
        return place
      }

      test('skopeo signs what it copies here, and takes from here only what the right key has signed', async () => {
        const unsigned = `docker://${stack.host}/${name}:latest`
        const skopeo = client('skopeo', '--insecure-policy')
        const to = `${stack.host}/team/skopeo:1`
        await skopeo([
          'copy',
          '--quiet',
          '--remove-signatures',
          ...noTls,
          '--sign-by',
          signers[0],
          unsigned,
          `docker://${to}`,
        ])
        const copied = (await getManifest(`${stack.url}/v2/team/skopeo/manifests/1`, stack)).digest
        const [served] = await list(copied, 'team/skopeo')
        const place = await pullUnder(signers[0], 'team/skopeo:1')
        expect(content(readFileSync(path.join(place, 'signature-1')))).toBe(served.content)
        await expect(pullUnder(signers[1], 'team/skopeo:1')).rejects.toThrow(/Source image rejected/)
        await skopeo([
          'copy',
          '--quiet',
          '--remove-signatures',
          ...noTls,
          unsigned,
          `docker://${stack.host}/team/none:1`,
        ])
        await expect(pullUnder(signers[0], 'team/none:1')).rejects.toThrow(/signature was required, but no signature/)
      }, 60_000)

      test('podman signs what it pushes, and pulls only what the right key has signed', async () => {
        const places = ['--root', at('root'), '--runroot', at('run'), '--tmpdir', at('tmp'), '--storage-driver', 'vfs']
        const podman = client('podman', ...places, '--events-backend', 'none', '--log-level', 'error')
        const policy = (file: string) => ['--quiet', '--tls-verify=false', '--signature-policy', at(`${file}.json`)]
        const reference = `${stack.host}/team/podman:1`
        writeFileSync(at('open.json'), JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] }))
        writeDockerImage(at('image'))
        const id = await podman(['pull', ...policy('open'), `dir:${at('image')}`])
        try {
          await podman(['push', ...policy('open'), '--sign-by', signers[0], id, `docker://${reference}`])
          await podman(['rmi', '--force', id])
          await expect(podman(['pull', ...policy(signers[1]), reference])).rejects.toThrow(/Source image rejected/)
          expect(await podman(['pull', ...policy(signers[0]), reference])).toBe(id)
        } finally {
          await podman(['rmi', '--all', '--force'])
        }
      }, 60_000)
    },
  )
})
