import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { basicOf, grant, makeUser } from '../access/people.ts'
import { until } from '../berth/processes.ts'
import { localRemote, make, repositoryPath, sync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { runner } from '../clients/client.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import {
  build,
  buildEnvironment,
  contextOf,
  engineFound,
  type Field,
  isWhole,
  logOf,
  postBuild,
  whyNoBuilds,
  withShell,
} from './bench.ts'

const why = isWhole ? await whyNoBuilds() : 'BERTH_TEST_BUILD=true npm test -- e2e/build'
const group = why ? describe.skip : describe

const hasSyft = (process.env.PATH ?? '').split(':').some((folder) => existsSync(path.join(folder, 'syft')))

group(`all that a build can be${why ? ` (skipped: ${why})` : ''}`, () => {
  const stack = withBerth({
    own: true,
    env: {
      ...buildEnvironment,
      BERTH_PROCESSES: 'true',
      BERTH_BUILD_ALIASES: 'docker.io/library=mirrors',
      BERTH_TASK_LEASE_SECONDS: '3',
    },
  })
  const busybox = contextOf({}, { withBusybox: true })
  const image = (repository: string, containerfile: string, ...more: Field[]): Field[] => [
    ['repository', repository],
    ['containerfile', containerfile],
    ...more,
  ]

  const upstream = withBerth({ own: true, env: buildEnvironment })

  beforeAll(async () => {
    await engineFound(stack)
    await engineFound(upstream)
    expect((await build(stack, image('bases/shell', withShell), busybox)).error).toBeNull()
    const there = await build(upstream, image('bases/shell', `${withShell}RUN echo upstream > /where`), busybox)
    expect(there.error).toBeNull()
    const login = { username: 'admin', password: upstream.password }
    await make(stack, '/remotes', localRemote('shell', upstream.url, 'bases/shell', { policy: 'on_demand', ...login }))
    await make(stack, '/repositories', { name: 'mirrors/shell' })
    await make(stack, '/distributions', { name: 'shell', basePath: 'mirrors/shell', repository: 'mirrors/shell' })
    await sync(stack, 'mirrors/shell', 'shell')
  }, 120_000)

  test('a mirrored base, stages, arguments and steps make an image that podman pulls and runs', async () => {
    const containerfile = `ARG BASE=shell
FROM \${BASE} AS made
ARG WORD
WORKDIR /out
COPY words/ .
RUN echo "$WORD" >> words.txt && mkdir -p /empty
FROM docker.io/library/shell
COPY --from=made /out/words.txt /words.txt
COPY --from=${stack.host}/bases/shell:latest /bin/busybox /bin/again
ENV GREETING=hello
ENTRYPOINT ["/bin/sh", "-c", "echo $GREETING; cat /where /words.txt"]
`
    const context = contextOf({
      'words/words.txt': 'from the context\n',
      'words/secret.txt': 'x',
      '.dockerignore': '**/secret.txt\n',
    })
    const task = await build(
      stack,
      image('team/app', containerfile, ['buildArg', 'WORD=from an argument'], ['tag', '1']),
      context,
    )
    expect(task.error).toBeNull()
    const folder = makeTemporaryFolder('run')
    const at = (name: string) => path.join(folder, name)
    // Above those of this machine none can be set where it is a container itself.
    const ulimits = ['--ulimit', 'nofile=256:256', '--ulimit', 'nproc=1000:1000']
    const places = ['--root', at('root'), '--runroot', at('run'), '--tmpdir', at('tmp'), '--storage-driver', 'vfs']
    const podman = runner('podman', [...places, '--events-backend', 'none', '--cgroup-manager', 'cgroupfs'], {
      REGISTRY_AUTH_FILE: at('auth.json'),
    })
    try {
      const flags = ['--tls-verify=false', '--username', 'admin', '--password-stdin']
      await podman(['login', ...flags, stack.host], { input: stack.password })
      const reference = `${stack.host}/team/app:1`
      await podman(['pull', '--quiet', '--tls-verify=false', reference])
      const said = await podman(['run', '--rm', ...ulimits, '--network', 'none', reference])
      expect(said).toBe('hello\nupstream\nfrom the context\nfrom an argument')
    } finally {
      await podman(['rmi', '--all', '--force'])
      removeFolder(folder)
    }
  }, 120_000)

  test('a step with egress has the way out and nothing else, and is refused a neighbour', async () => {
    await make(stack, '/namespaces', { name: 'wired', buildEgress: true })
    const step = 'RUN wget -O- http://127.0.0.1:80/ ; nc -w 1 127.0.0.2 80 && echo reached; echo "by $http_proxy"'
    const fields = image('wired/app', `FROM ${stack.host}/bases/shell\n${step}`, ['network', 'egress'])
    const task = await build(stack, fields)
    expect(task.error).toBeNull()
    const log = await logOf(stack, task.id)
    expect(log).toContain('by http://127.0.0.1:3128')
    expect(log).toMatch(/builds reach public ones only/)
    expect(log).not.toMatch(/^reached/m)
  }, 60_000)

  test('two platforms of files alone are an index, and a step for a platform that does not run here is refused', async () => {
    const files = contextOf({ 'app.txt': 'the same for all\n' })
    const both: Field[] = [
      ['platform', 'linux/amd64'],
      ['platform', 'linux/arm64'],
    ]
    const task = await build(stack, image('team/both', 'FROM scratch\nCOPY app.txt /app.txt\n', ...both), files)
    expect(task.error).toBeNull()
    const answer = await fetch(`${stack.url}/v2/team/both/manifests/latest`, {
      headers: {
        authorization: `Basic ${btoa(`admin:${stack.password}`)}`,
        accept: 'application/vnd.oci.image.index.v1+json',
      },
    })
    const { manifests } = (await answer.json()) as { manifests: { platform: { architecture: string } }[] }
    expect(manifests.map(({ platform }) => platform.architecture).sort()).toEqual(['amd64', 'arm64'])
    const step = await postBuild(stack, image('team/both', `${withShell}RUN true`, ['platform', 'linux/s390x']), {
      context: busybox,
    })
    expect(step).toMatchObject({ status: 400, body: { field: 'containerfile' } })
  }, 60_000)

  test('an index that a host has is pulled through for its platforms, by who may have it fetched and by nobody else', async () => {
    const both: Field[] = [
      ['platform', 'linux/amd64'],
      ['platform', 'linux/arm64'],
    ]
    const files = contextOf({ 'app.txt': 'the same for all\n' })
    expect(
      (await build(upstream, image('bases/both', 'FROM scratch\nCOPY app.txt /', ...both), files)).error,
    ).toBeNull()
    const login = { username: 'admin', password: upstream.password }
    await make(stack, '/remotes', { ...localRemote('host', upstream.url, '', login), upstreamName: null })
    const pullThrough = { remote: 'host', trigger: ['admin'] }
    await make(stack, '/distributions', { name: 'host', basePath: 'host', access: 'public', pullThrough })
    await makeUser(stack, 'cy')
    await grant(stack, { user: 'cy' }, 'maintainer', 'team/*')
    const authorization = basicOf({ user: 'cy', password: 'the password of cy' })
    const from = image('team/pulled', 'FROM host/bases/both\nCOPY app.txt /again.txt', ...both)
    expect(await postBuild(stack, from, { context: files, authorization })).toMatchObject({
      body: { code: 'base_not_found' },
    })
    const task = await build(stack, from, files)
    expect(task).toMatchObject({ error: null, result: { tags: ['latest'] } })
    const other = await build(stack, image('team/pulled', 'FROM host/bases/both', ['platform', 'linux/s390x']))
    expect(other.error).toMatchObject({ code: 'base_lacks_platform', message: expect.stringContaining('linux/arm64') })
  }, 60_000)

  const withSyft = hasSyft ? test : test.skip
  withSyft(
    `a bill of materials refers to each image${hasSyft ? '' : ' (skipped: syft is not on the PATH)'}`,
    async () => {
      const { result } = await build(stack, image('team/listed', 'FROM shell\nCOPY busybox /again'), busybox)
      const headers = { authorization: `Basic ${btoa(`admin:${stack.password}`)}` }
      const list = await fetch(
        `${stack.url}/v2/team/listed/referrers/${result.digest}?artifactType=application/spdx%2Bjson`,
        { headers },
      )
      const { manifests } = (await list.json()) as { manifests: { digest: string }[] }
      expect(manifests).toHaveLength(1)
      const accept = 'application/vnd.oci.image.manifest.v1+json'
      const manifest = await fetch(`${stack.url}/v2/team/listed/manifests/${manifests[0]?.digest}`, {
        headers: { ...headers, accept },
      })
      const { layers } = (await manifest.json()) as { layers: { digest: string }[] }
      const document = await fetch(`${stack.url}/v2/team/listed/blobs/${layers[0]?.digest}`, { headers })
      const { spdxVersion, packages } = (await document.json()) as { spdxVersion: string; packages: { name: string }[] }
      expect(spdxVersion).toMatch(/^SPDX-2/)
      expect(packages.map(({ name }) => name)).toContain('busybox')
    },
    60_000,
  )

  test('nobody builds from what it may not pull, nor into what it may not build into, and both look as if they were not there', async () => {
    const login = await makeUser(stack, 'bo')
    await grant(stack, { user: 'bo' }, 'maintainer', 'team/*')
    const authorization = basicOf(login)
    const from = (base: string) => postBuild(stack, image('team/mine', `FROM ${base}`), { authorization })
    for (const base of ['bases/shell', 'bases/none'])
      expect(await from(base)).toMatchObject({
        status: 400,
        body: { code: 'base_not_found', detail: expect.stringContaining('none that you may pull') },
      })
    const network = await postBuild(stack, image('team/mine', 'FROM scratch', ['network', 'egress']), { authorization })
    expect(network).toMatchObject({ status: 403, body: { missing: { verb: 'build.egress', role: 'owner' } } })
    const into = (name: string) => postBuild(stack, image(name, 'FROM scratch'), { authorization })
    expect(await into('bases/shell')).toMatchObject({ status: 404, body: { code: 'repository_not_found' } })
    expect(await into('bases/new')).toMatchObject({ status: 403, body: { code: 'not_allowed' } })
  }, 60_000)

  test('a build that is cancelled ends at once and leaves nothing, and one whose service is killed is built again', async () => {
    const slow = image('team/slow', `${withShell}RUN echo begun; sleep 8; echo over`)
    const begin = async () => {
      const { body } = await postBuild(stack, slow, { context: busybox })
      await until('a step begins', async () => (await logOf(stack, body.id)).includes('begun') || undefined, 30_000)
      return body.id as string
    }
    const cancelled = await begin()
    await stack.api('POST', `/tasks/${cancelled}/cancel`)
    expect(await stack.waitForTask(cancelled, 10_000)).toMatchObject({ state: 'cancelled' })
    expect(readdirSync(path.join(stack.home, 'build', 'work'))).toEqual([])

    const killed = await begin()
    await stack.kill('SIGKILL')
    await stack.restart()
    await engineFound(stack)
    const task = await stack.waitForTask(killed, 90_000)
    expect(task).toMatchObject({ state: 'completed', error: null, result: { version: 1 } })
    expect(readdirSync(path.join(stack.home, 'build', 'work'))).toEqual([])
    expect(readdirSync(path.join(stack.home, 'build', 'sandboxes'))).toEqual([])
    const { body: builds } = await stack.api('GET', '/builds?repository=team/slow')
    for (const { id } of builds.items)
      expect(spawnSync('pgrep', ['-f', `berth-build:${id}`]).stdout.toString()).toBe('')
    const { body } = await stack.api('GET', `${repositoryPath('team/slow')}/versions`)
    expect(body.items.filter(({ cause }: { cause: string }) => cause === 'build')).toHaveLength(1)
  }, 180_000)
})

const lacking = isWhole && process.getuid?.() === 0 ? describe : describe.skip
lacking('where no build can run (as root, with BERTH_TEST_BUILD=true)', () => {
  const stack = withBerth({ own: true, env: { BERTH_BUILDS: 'true', BERTH_BUILD_USER: 'nobody-has-this-name' } })

  test('Berth serves, says what is missing, and answers builds with the commands that mend it', async () => {
    const note = await until('the search has ended', async () => {
      const ready = await fetch(`${stack.url}/readyz`)
      expect(ready.status).toBe(200)
      const { builds } = (await ready.json()) as { builds?: string }
      return builds?.startsWith('none') ? builds : undefined
    })
    expect(note).toContain('useradd')
    const refused = await postBuild(stack, [
      ['repository', 'team/app'],
      ['containerfile', 'FROM scratch'],
    ])
    expect(refused).toMatchObject({
      status: 503,
      body: { code: 'no_build_engine', detail: expect.stringContaining('useradd') },
    })
    expect(refused.headers.get('retry-after')).toBe('60')
  })
})
