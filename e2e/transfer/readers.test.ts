import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { pushEmptyImage, pushManifest, type Target } from '../berth/push.ts'
import { basic, getManifest } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { type Run, runner } from '../clients/client.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { exported, save } from './exporting.ts'

const missing = missingPrograms('podman', 'skopeo')
const describeReaders = missing.length > 0 ? describe.skip : describe
const type = 'application/vnd.oci.image.manifest.v1+json'

describeReaders(`podman${missing.length > 0 ? ` (skipped: install ${missing.join(', ')})` : ''}`, () => {
  const stack = withBerth({ own: true })
  const target = (): Target => ({ url: stack.url, authorization: basic(stack) })
  const to = { kind: 'download' }
  let folder: string
  let podman: Run

  beforeAll(() => {
    folder = makeTemporaryFolder('readers')
    const at = (name: string) => path.join(folder, name)
    writeFileSync(at('auth.json'), '{}')
    const places = ['--root', at('root'), '--runroot', at('run'), '--tmpdir', at('tmp'), '--storage-driver', 'vfs']
    podman = runner('podman', [...places, '--events-backend', 'none'], {
      REGISTRY_AUTH_FILE: at('auth.json'),
      TMPDIR: folder,
    })
  })
  afterAll(async () => {
    await podman(['rmi', '--all', '--force'])
    removeFolder(folder)
  })

  test('loads an archive with one tag, though it is signed and something refers to it', async () => {
    await pushEmptyImage(target(), 'team/signed', '1')
    const manifest = await getManifest(`${stack.url}/v2/team/signed/manifests/1`, stack)
    await pushManifest(target(), 'team/signed', manifest.digest.replace(':', '-').concat('.sig'), manifest.text, type)
    const referrer = JSON.stringify({
      ...JSON.parse(manifest.text),
      artifactType: 'application/x-note',
      subject: { mediaType: type, digest: manifest.digest, size: manifest.text.length },
    })
    await pushManifest(target(), 'team/signed', 'sha256-note', referrer, type)
    await stack.api('DELETE', '/repositories/team%2Fsigned/tags/sha256-note')
    const { exportId } = await exported(stack, { repositories: [{ name: 'team/signed' }], to })
    const file = await save(stack, exportId, folder, 'signed.tar')
    expect(await podman(['load', '--quiet', '--input', file])).toContain('team/signed:1')
  }, 60_000)

  test('pulls any image of an archive with several, and loads one of docker that is alone', async () => {
    await pushEmptyImage(target(), 'team/one', '1')
    await pushEmptyImage(target(), 'team/one', '2')
    const skopeo = runner('skopeo', ['--insecure-policy'])
    const creds = ['--src-creds', `admin:${stack.password}`, '--dest-creds', `admin:${stack.password}`]
    const plain = ['--src-tls-verify=false', '--dest-tls-verify=false', ...creds]
    const [from, into] = [`docker://${stack.host}/team/one:1`, `docker://${stack.host}/team/docker:1`]
    await skopeo(['copy', '--quiet', '--format', 'v2s2', ...plain, from, into])
    const { exportId } = await exported(stack, { repositories: [{ name: 'team/one' }], to })
    const file = await save(stack, exportId, folder, 'several.tar')
    for (const name of ['team/one:1', 'team/one:2']) {
      await podman(['pull', '--quiet', `oci-archive:${file}:${name}`])
      expect(await podman(['images', '--format', '{{.Repository}}:{{.Tag}}'])).toContain(name)
      const raw = await skopeo(['inspect', '--raw', `oci-archive:${file}:${name}`])
      expect(raw).toBe((await getManifest(`${stack.url}/v2/${name.replace(':', '/manifests/')}`, stack)).text)
    }
    // By its name those of Debian 12 do not find an image of these types.
    const alone = await exported(stack, { repositories: [{ name: 'team/docker' }], to })
    const docker = await save(stack, alone.exportId, folder, 'docker.tar')
    expect(await podman(['load', '--quiet', '--input', docker])).toContain('team/docker:1')
    await skopeo(['copy', '--quiet', `oci-archive:${docker}`, `dir:${path.join(folder, 'docker')}`])
    const manifest = readFileSync(path.join(folder, 'docker', 'manifest.json'), 'utf8')
    expect(manifest).toBe((await getManifest(`${stack.url}/v2/team/docker/manifests/1`, stack)).text)
  }, 60_000)
})
