import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { freePort } from '@berth/standalone/children'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { TaskView } from '../berth/berth.ts'
import { pushBlob, pushEmptyImage, pushManifest, pushRandomImage } from '../berth/push.ts'
import { basic, make, manifestTypes, sha256 } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { containerdMissing, startContainerd } from '../clients/containerd.ts'
import { startPodman } from '../clients/podman.ts'
import { startSkopeo } from '../clients/skopeo.ts'
import { findProgram, missingPrograms } from '../servers/programs.ts'
import { answers, type ServerProcess, startServerProcess } from '../servers/server-process.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { startNginx } from './nginx.ts'
import { startSshd } from './sshd.ts'

const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
const ociIndex = 'application/vnd.oci.image.index.v1+json'
const dockerManifest = 'application/vnd.docker.distribution.manifest.v2+json'
const missing = missingPrograms('nginx')
const group = missing.length > 0 ? describe.skip : describe
const unless = (...why: (string | undefined)[]) => {
  const reasons = why.filter(Boolean)
  const run = reasons.length > 0 ? test.skip : test
  return (name: string, body: () => Promise<void>, ms = 60_000) =>
    run(`${name}${reasons.length > 0 ? ` (skipped: ${reasons.join('; ')})` : ''}`, body, ms)
}
const needs = (...programs: string[]) => {
  const lacking = missingPrograms(...programs)
  return lacking.length > 0 ? `not installed: ${lacking.join(', ')}` : undefined
}

group(`a static mirror${missing.length > 0 ? ' (not installed: nginx)' : ''}`, () => {
  let sshd: Awaited<ReturnType<typeof startSshd>> | undefined
  const stack = withBerth(async () => {
    sshd = needs('sshd', 'ssh', 'rsync') ? undefined : await startSshd()
    return { own: true, env: { ...sshd?.settings } }
  })
  let nginx: ServerProcess
  let host = '127.0.0.1:1'
  let folder: string
  const pushed: Record<string, string> = {}
  const target = () => ({ url: stack.url, authorization: basic(stack) })
  const repositories = () => [{ name: 'team/app' }, { name: 'team/app/manifests' }, { name: 'tools' }]

  /** Has a mirror written; answers the task as it ended. */
  const write = async (body: object): Promise<TaskView> => {
    const answer = await stack.api('POST', '/mirrors/static', { directory: 'mirror', includePrivate: true, ...body })
    expect(answer).toMatchObject({ status: 202 })
    return stack.waitForTask(answer.body.id)
  }
  const get = (name: string, init: RequestInit = {}) => fetch(`http://${host}${name}`, init)

  beforeAll(async () => {
    const app = await pushRandomImage(target(), 'team/app', '1.0', [40_000, 3_000])
    pushed.app = app.digest
    // Names that would be in each other's way if tags and repositories lay in one folder.
    pushed.nested = (await pushRandomImage(target(), 'team/app/manifests', '1.0')).digest
    const text = app.text.replaceAll(ociManifest, dockerManifest)
    await pushManifest(target(), 'team/app', 'manifests', text, dockerManifest)
    pushed.docker = sha256(Buffer.from(text))
    const tool = await pushRandomImage(target(), 'tools', 'amd64')
    const index = JSON.stringify({
      schemaVersion: 2,
      mediaType: ociIndex,
      manifests: [
        {
          mediaType: ociManifest,
          digest: tool.digest,
          size: Buffer.byteLength(tool.text),
          platform: { os: 'linux', architecture: 'amd64' },
        },
      ],
    })
    await pushManifest(target(), 'tools', 'latest', index, ociIndex)
    pushed.index = sha256(Buffer.from(index))
    const signature = await pushBlob(target(), 'tools', randomBytes(100))
    const empty = await pushBlob(target(), 'tools', Buffer.from('{}'))
    const referrer = JSON.stringify({
      schemaVersion: 2,
      mediaType: ociManifest,
      artifactType: 'application/vnd.example.signature',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', ...empty },
      layers: [{ mediaType: 'application/octet-stream', ...signature }],
      subject: { mediaType: ociIndex, digest: pushed.index, size: Buffer.byteLength(index) },
    })
    pushed.referrer = sha256(Buffer.from(referrer))
    await pushManifest(target(), 'tools', pushed.referrer, referrer, ociManifest)
    await pushEmptyImage(target(), 'tools', 'empty')
    folder = path.join(stack.home, 'transfer', 'mirror')
  }, 120_000)
  afterAll(async () => {
    await nginx?.stop()
    await sshd?.stop()
  }, 30_000)

  test('private repositories are named and refused, unless that is meant', async () => {
    const answer = await stack.api('POST', '/mirrors/static', { directory: 'mirror', repositories: repositories() })
    expect(answer).toMatchObject({ status: 409, body: { code: 'private_repositories', field: 'includePrivate' } })
    expect(answer.body.detail).toContain('team/app, team/app/manifests, tools')
    // What serves one version of it makes no other public.
    const shown = { name: 'shown', basePath: 'shown', repository: 'tools', version: 1, access: 'public' }
    await make(stack, '/distributions', shown)
    const ask = (body: object) => stack.api('POST', '/mirrors/static', { directory: 'mirror', dryRun: true, ...body })
    expect(await ask({ repositories: [{ name: 'tools' }] })).toMatchObject({ body: { code: 'private_repositories' } })
    expect(await ask({ repositories: [{ name: 'tools', version: 1 }] })).toMatchObject({ status: 202 })
  })

  test('a plan says what would be written, and writes nothing', async () => {
    const { result } = await write({ repositories: repositories(), dryRun: true })
    expect(result).toMatchObject({ repositories: 3, tags: 6, removed: 0, unchanged: 0 })
    expect(result.written).toBeGreaterThan(10)
    expect(existsSync(folder)).toBe(false)
  })

  test('is served by nginx with the bytes, types and lists that Berth has', async () => {
    const planned = await write({ repositories: repositories(), dryRun: true })
    const { result, error } = await write({ repositories: repositories() })
    expect(error).toBeNull()
    const { written, writtenBytes } = planned.result
    expect(result).toMatchObject({ written, writtenBytes, tags: 6, removed: 0 })
    ;({ server: nginx, host } = await startNginx(folder))
    for (const [name, reference, digest, type] of [
      ['team/app', '1.0', pushed.app, ociManifest],
      ['team/app', 'manifests', pushed.docker, dockerManifest],
      ['team/app/manifests', '1.0', pushed.nested, ociManifest],
      ['tools', 'latest', pushed.index, ociIndex],
      ['tools', pushed.index, pushed.index, ociIndex],
    ]) {
      const answer = await get(`/v2/${name}/manifests/${reference}`, { headers: { accept: manifestTypes } })
      expect([name, reference, answer.status, answer.headers.get('content-type')]).toEqual([name, reference, 200, type])
      expect(sha256(Buffer.from(await answer.arrayBuffer()))).toBe(digest)
    }
    expect(await (await get('/v2/team/app/tags/list')).json()).toEqual({ name: 'team/app', tags: ['1.0', 'manifests'] })
    expect(await (await get('/v2/_catalog')).json()).toEqual({
      repositories: ['team/app', 'team/app/manifests', 'tools'],
    })
    expect((await get('/v2/')).status).toBe(200)
    const list = await get(`/v2/tools/referrers/${pushed.index}`)
    expect(list.headers.get('content-type')).toBe(ociIndex)
    expect(await list.json()).toMatchObject({
      manifests: [{ digest: pushed.referrer, artifactType: 'application/vnd.example.signature' }],
    })
    expect(await (await get(`/v2/tools/referrers/${pushed.app}`)).json()).toMatchObject({ manifests: [] })
    for (const [name, code] of [
      ['/v2/team/app/manifests/none', 'MANIFEST_UNKNOWN'],
      [`/v2/team/app/blobs/sha256:${'0'.repeat(64)}`, 'BLOB_UNKNOWN'],
      ['/v2/none/tags/list', 'NAME_UNKNOWN'],
    ]) {
      const answer = await get(name as string)
      expect([answer.status, await answer.json()]).toMatchObject([404, { errors: [{ code }] }])
    }
  }, 60_000)

  unless(needs('skopeo'))('satisfies skopeo', async () => {
    const skopeo = startSkopeo()
    try {
      expect(await skopeo.pull(`${host}/tools:empty`)).toMatch(/^sha256:/)
      expect(await skopeo.pull(`${host}/tools:latest`)).toMatch(/^sha256:/)
    } finally {
      await skopeo.stop()
    }
  })

  unless(needs('podman'))('satisfies podman', async () => {
    const podman = await startPodman()
    try {
      expect(await podman.pull(`${host}/tools:empty`)).toMatch(/^(sha256:)?[0-9a-f]{64}$/)
    } finally {
      await podman.stop()
    }
  })

  unless(containerdMissing())('satisfies containerd', async () => {
    const containerd = await startContainerd()
    try {
      await containerd.ctr(['content', 'fetch', '--plain-http', '--all-platforms', `${host}/tools:latest`])
      await containerd.ctr(['content', 'fetch', '--plain-http', `${host}/team/app@${pushed.app}`])
      expect(await containerd.ctr(['content', 'ls', '-q'])).toContain(pushed.index)
    } finally {
      await containerd.stop()
    }
  })

  unless(needs('caddy'))('is served by Caddy as well', async () => {
    const port = await freePort()
    const caddy = await startServerProcess({
      name: 'caddy',
      program: findProgram('caddy') as string,
      env: { HOME: folder, XDG_DATA_HOME: stack.home, XDG_CONFIG_HOME: stack.home },
      args: (place) => {
        const site = `http://127.0.0.1:${port} {\n\troot * ${folder}\n\timport ${folder}/Caddyfile\n}\n`
        writeFileSync(path.join(place, 'Caddyfile'), `{\n\tadmin off\n}\n${site}`)
        return ['run', '--config', path.join(place, 'Caddyfile'), '--adapter', 'caddyfile']
      },
      isReady: () => answers(`http://127.0.0.1:${port}/v2/`, 200),
    })
    try {
      const from = (name: string) => fetch(`http://127.0.0.1:${port}${name}`)
      for (const [name, digest, type] of [
        ['/v2/tools/manifests/latest', pushed.index, ociIndex],
        [`/v2/team/app/manifests/${pushed.docker}`, pushed.docker, dockerManifest],
      ]) {
        const answer = await from(name as string)
        expect([answer.status, answer.headers.get('content-type')]).toEqual([200, type])
        expect(sha256(Buffer.from(await answer.arrayBuffer()))).toBe(digest)
      }
      expect(await (await from(`/v2/tools/referrers/${pushed.index}`)).json()).toMatchObject({
        manifests: [{ digest: pushed.referrer }],
      })
      expect(await (await from(`/v2/tools/referrers/${pushed.app}`)).json()).toMatchObject({ manifests: [] })
      expect((await from('/v2/team/app/manifests/none')).status).toBe(404)
      expect(await (await from('/v2/tools/tags/list')).json()).toEqual({
        name: 'tools',
        tags: ['amd64', 'empty', 'latest'],
      })
    } finally {
      await caddy.stop()
    }
  })

  test('a run again writes only what changed, and removes what left', async () => {
    const same = await write({ repositories: repositories() })
    expect(same.result).toMatchObject({ written: 0, writtenBytes: 0, removed: 0 })
    const next = await pushRandomImage(target(), 'team/app', '1.0', [500])
    const moved = await write({ repositories: repositories() })
    // Layer, manifest and the tag; its configuration is that of the other.
    expect(moved.result).toMatchObject({ written: 3 })
    expect(sha256(Buffer.from(await (await get('/v2/team/app/manifests/1.0')).arrayBuffer()))).toBe(next.digest)
    const less = await write({ repositories: [{ name: 'tools' }] })
    expect(less.result.removed).toBeGreaterThan(5)
    expect((await get('/v2/team/app/tags/list')).status).toBe(404)
    expect((await get(`/v2/team/app/manifests/${pushed.app}`)).status).toBe(404)
    expect((await get('/v2/tools/manifests/latest')).status).toBe(200)
    expect(existsSync(path.join(folder, 'v2/team'))).toBe(false)
  }, 60_000)

  test('a folder in which somebody else has files is left alone', async () => {
    const other = path.join(stack.home, 'transfer', 'other')
    mkdirSync(other)
    writeFileSync(path.join(other, 'thesis.txt'), 'mine')
    const { error } = await write({ repositories: [{ name: 'tools' }], directory: 'other' })
    expect(error).toMatchObject({ code: 'not_a_mirror', message: expect.stringContaining('thesis.txt') })
    expect(readFileSync(path.join(other, 'thesis.txt'), 'utf8')).toBe('mine')
  })

  test('what could lead out of the directory for transfers is refused', async () => {
    for (const directory of ['../out', '/etc', 'a/../../b', '', '.hidden', `${stack.home}/blobs`])
      expect(
        await stack.api('POST', '/mirrors/static', { repositories: [{ name: 'tools' }], directory }),
      ).toMatchObject({ status: 400 })
  })

  unless(needs('sshd', 'ssh', 'rsync'))('is copied to another host by rsync', async () => {
    const there = makeTemporaryFolder('rsync')
    const rsync = { host: sshd?.host, user: sshd?.user, path: there, keyName: 'mirror' }
    try {
      const { error } = await write({ repositories: [{ name: 'tools' }], rsync })
      expect(error).toBeNull()
      const differs = spawnSync('diff', ['-r', '--exclude=.berth-partial', folder, there], { encoding: 'utf8' })
      expect(differs.stdout).toBe('')
      writeFileSync(path.join(there, 'v2/left.txt'), 'goes')
      expect((await write({ repositories: [{ name: 'tools' }], rsync })).error).toBeNull()
      expect(existsSync(path.join(there, 'v2/left.txt'))).toBe(false)
      for (const [more, field] of [
        [{ host: 'elsewhere' }, 'rsync.host'],
        [{ path: '/tmp/$(id)' }, 'rsync.path'],
        [{ path: '/.' }, 'rsync.path'],
        [{ path: '//' }, 'rsync.path'],
        [{ user: '-oProxyCommand=id' }, 'rsync.user'],
        [{ keyName: '../mirror' }, 'rsync.keyName'],
      ] as const) {
        const body = { repositories: [{ name: 'tools' }], directory: 'mirror', includePrivate: true }
        expect(await stack.api('POST', '/mirrors/static', { ...body, rsync: { ...rsync, ...more } })).toMatchObject({
          status: 400,
          body: { field },
        })
      }
      const refused = await write({ repositories: [{ name: 'tools' }], rsync: { ...rsync, keyName: 'none' } })
      expect(refused.error).toMatchObject({ code: 'rsync_failed' })
    } finally {
      removeFolder(there)
    }
  })
})
