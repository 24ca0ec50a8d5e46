import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { make, repositoryPath } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import {
  build,
  buildEnvironment,
  contextOf,
  engineFound,
  type Field,
  logOf,
  postBuild,
  whyNoBuilds,
  withShell,
} from './bench.ts'
import { followLog } from './follow-log.ts'

const why = await whyNoBuilds()
const group = why ? describe.skip : describe

group(`images are built${why ? ` (skipped: ${why})` : ''}`, () => {
  const stack = withBerth({ own: true, env: buildEnvironment })
  beforeAll(() => engineFound(stack), 60_000)

  const secret = 'do not tell'
  const fields: Field[] = [
    ['repository', 'team/tools'],
    ['tag', '1.0'],
    ['tag', 'latest'],
    ['label', 'maintainer=ann'],
    ['buildArg', 'WORD=hello'],
    ['secret', `key=${secret}`],
    [
      'containerfile',
      `${withShell}ARG WORD\nRUN --mount=type=secret,id=key cat /run/secrets/key && echo "$WORD" > /word && cat /word\n`,
    ],
  ]
  const context = contextOf({}, { withBusybox: true })
  const authorization = () => `Basic ${btoa(`admin:${stack.password}`)}`
  const fetchJson = async (path: string) => {
    const accept = 'application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json'
    const answer = await fetch(`${stack.url}${path}`, { headers: { authorization: authorization(), accept } })
    return JSON.parse(await answer.text())
  }

  test('an image from scratch is one version with all of its tags and an attestation, and no secret is told', async () => {
    const task = await build(stack, fields, context)
    expect(task.error).toBeNull()
    const { digest } = task.result
    expect(task.result).toMatchObject({ repository: 'team/tools', version: 1, tags: ['1.0', 'latest'], cached: false })
    const { body: version } = await stack.api('GET', '/repositories/team%2Ftools/versions/1')
    expect(version).toMatchObject({ cause: 'build' })

    const log = await logOf(stack, task.id)
    expect(log).toContain('hello')
    const { config } = await fetchJson('/v2/team/tools/manifests/1.0')
    const image = await fetchJson(`/v2/team/tools/blobs/${config.digest}`)
    expect(image.config.Labels).toMatchObject({
      maintainer: 'ann',
      'io.berth.build.containerfile': expect.stringMatching(/^sha256:/),
      'io.berth.build.context': expect.stringMatching(/^sha256:/),
    })
    const { manifests } = await fetchJson(`/v2/team/tools/referrers/${digest}`)
    const attested = manifests.filter(
      (one: { artifactType: string }) => one.artifactType === 'application/vnd.in-toto+json',
    )
    expect(attested).toHaveLength(1)
    const { layers } = await fetchJson(`/v2/team/tools/manifests/${attested[0].digest}`)
    const statement = await fetchJson(`/v2/team/tools/blobs/${layers[0].digest}`)
    expect(statement).toMatchObject({
      predicateType: 'https://slsa.dev/provenance/v1',
      subject: [{ name: 'team/tools', digest: { sha256: digest.slice('sha256:'.length) } }],
      predicate: { buildDefinition: { externalParameters: { buildArgs: ['WORD'], secrets: ['key'] } } },
    })
    const told = JSON.stringify([log, image, statement, task, (await stack.api('GET', '/builds')).body]) + stack.logs()
    expect(told).not.toContain(secret)
    expect(JSON.stringify(statement)).not.toContain('hello')
    const sent = `sha256:${createHash('sha256').update(context).digest('hex')}`
    expect(await stack.api('GET', `/store/explain/${sent}`)).toMatchObject({ status: 404 })

    const again = await build(stack, fields, context)
    expect(again.result).toMatchObject({ digest, cached: true })
    expect((await build(stack, [...fields, ['noCache', 'true']], context)).result).toMatchObject({
      digest,
      cached: false,
    })
  }, 120_000)

  test('the log comes while it grows, from behind the last line that a reader has, and ends with the build', async () => {
    const { body: task } = await postBuild(
      stack,
      [
        ['repository', 'team/slow'],
        ['containerfile', `${withShell}RUN echo first; sleep 1; echo second`],
      ],
      { context },
    )
    const { body } = await stack.api('GET', '/builds?repository=team/slow')
    const [{ id }] = body.items
    const all = await followLog(stack, id)
    expect((await stack.waitForTask(task.id)).error).toBeNull()
    expect(all.lines.map(({ text }) => text)).toEqual(expect.arrayContaining(['first', 'second']))
    expect(all.end).toEqual({ state: 'completed' })
    const middle = all.lines.find(({ text }) => text === 'first')
    const rest = await followLog(stack, id, middle?.id)
    expect(rest.lines).toEqual(all.lines.slice(all.lines.findIndex((line) => line === middle) + 1))
    expect(await logOf(stack, task.id)).toBe(all.lines.map(({ text }) => `${text}\n`).join(''))
  }, 60_000)

  test('a step that fails is told with its exit code, and nothing becomes visible', async () => {
    const task = await build(
      stack,
      [
        ['repository', 'team/broken'],
        ['containerfile', `${withShell}RUN exit 7`],
      ],
      context,
    )
    expect(task).toMatchObject({
      state: 'failed',
      error: { code: 'build_failed', message: expect.stringContaining('7') },
    })
    expect((await stack.api('GET', repositoryPath('team/broken'))).status).toBe(404)
    const { body } = await stack.api('GET', '/builds?repository=team/broken')
    expect(body.items).toMatchObject([{ state: 'failed', digest: null, error: { code: 'build_failed' } }])
  }, 60_000)

  test('a tag that is immutable, and an image that is not here, are refused before anything is built', async () => {
    await make(stack, '/repositories', { name: 'team/fixed', immutableTags: ['1.*'] })
    const image: Field[] = [
      ['repository', 'team/fixed'],
      ['containerfile', 'FROM scratch\nCOPY a /a'],
    ]
    const files = contextOf({ a: '1' })
    expect((await build(stack, [...image, ['tag', '1.0']], files)).error).toBeNull()
    const refused = await postBuild(stack, [...image, ['tag', '1.0']], { context: files })
    expect(refused).toMatchObject({ status: 403, body: { code: 'tag_immutable', hint: expect.any(String) } })
    const missing = await postBuild(stack, [
      ['repository', 'team/fixed'],
      ['containerfile', '# what is not here\nFROM debian:13'],
    ])
    expect(missing).toMatchObject({
      status: 400,
      body: { code: 'base_not_found', line: 2, field: 'containerfile', hint: expect.stringContaining('Mirror it') },
    })
  }, 60_000)

  test('a context that is no tar, or too large, is refused and nothing of it is kept', async () => {
    const image: Field[] = [
      ['repository', 'team/fixed'],
      ['containerfile', 'FROM scratch'],
    ]
    const noTar = await postBuild(stack, image, { context: Buffer.alloc(4_096, 'x') })
    expect(noTar).toMatchObject({ status: 400, body: { field: 'context' } })
    const none = await postBuild(stack, image, { context: Buffer.alloc(0) })
    expect(none).toMatchObject({ status: 400, body: { field: 'context', detail: expect.stringContaining('empty') } })
  })

  test('a build is in the audit trail and among the events, by who started it', async () => {
    const task = await build(
      stack,
      [
        ['repository', 'team/told'],
        ['containerfile', 'FROM scratch\nCOPY busybox /b'],
      ],
      context,
    )
    expect(task.error).toBeNull()
    const audited = await until(
      'the audit trail has it',
      async () => {
        const { body } = await stack.api('GET', '/audit?object=team%2Ftold')
        const actions = body.items.map(({ action }: { action: string }) => action)
        return actions.includes('startBuild') && actions.includes('build') ? actions : undefined
      },
      20_000,
    )
    expect(audited).toContain('startBuild')
    const events = await fetch(`${stack.url}/api/v1/events?events=build.build.completed&after=0`, {
      headers: { authorization: `Basic ${btoa(`admin:${stack.password}`)}`, accept: 'text/event-stream' },
    })
    let text = ''
    for await (const chunk of events.body ?? []) {
      text += Buffer.from(chunk).toString()
      if (text.includes('team/told')) break
    }
    expect(text).toContain(task.result.digest)
  }, 60_000)

  test('a client that leaves in the middle of its context leaves nothing of it behind', async () => {
    const { port, hostname } = new URL(stack.url)
    const head = ['--x', 'content-disposition: form-data; name="repository"', '', 'team/left', '--x']
    head.push('content-disposition: form-data; name="containerfile"', '', 'FROM scratch', '--x')
    head.push('content-disposition: form-data; name="context"; filename="context.tar"', '', '')
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    socket.write(
      `POST /api/v1/builds HTTP/1.1\r\nhost: berth\r\nauthorization: ${authorization()}\r\ncontent-length: 100000000\r\n` +
        `content-type: multipart/form-data; boundary=x\r\n\r\n${head.join('\r\n')}`,
    )
    socket.write(context.subarray(0, context.length - 2_048))
    const staged = () =>
      readdirSync(path.join(stack.home, 'blobs', 'staging')).filter((name) => name.startsWith('part.'))
    await until('the context is staged', () => staged().length > 0)
    socket.destroy()
    await until('nothing of it is left', () => staged().length === 0)
    expect((await stack.api('GET', '/builds?repository=team/left')).body.items).toEqual([])
  })

  test('a network is for namespaces that an administrator has let have one', async () => {
    const image: Field[] = [
      ['repository', 'wired/app'],
      ['containerfile', 'FROM scratch'],
      ['network', 'egress'],
    ]
    expect(await postBuild(stack, image)).toMatchObject({
      status: 403,
      body: { code: 'egress_not_allowed', field: 'network' },
    })
    const made = await make(stack, '/namespaces', { name: 'wired', buildEgress: true })
    expect(made).toMatchObject({ buildEgress: true })
    expect(await postBuild(stack, image)).toMatchObject({ status: 202 })
  })
})
