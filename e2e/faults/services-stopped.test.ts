import { randomBytes } from 'node:crypto'
import type { ServiceName } from '@berth/standalone/origin'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { isAlive, until } from '../berth/processes.ts'
import { pidOf, type Replica, startReplica } from '../berth/replicas.ts'
import { basic } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { everything } from '../conformance/berth.ts'
import { newManifest } from '../conformance/manifests.ts'
import { digestOf, octets, pathOf, type Reply, Wire, withDigest } from '../conformance/wire.ts'

const others = ['catalog', 'sync', 'tasks', 'build', 'auth'] as const satisfies ServiceName[]
// A call to another service is given up after this; a client gives up later.
const callTimeoutSeconds = 5
const refusedWithinMs = 10_000

describe('with every service but registry stopped', () => {
  const repository = 'alone/private'
  const open = 'alone/public'
  const layer = randomBytes(100_000)
  const env = { BERTH_PROCESSES: 'true', BERTH_CALL_TIMEOUT_SECONDS: String(callTimeoutSeconds) }
  // Not on the embedded database: the kill of Berth would take it along.
  const stack = withBerth({ own: true, env })
  let replica: Replica
  let manifest: Record<string, unknown>
  let pullToken = ''
  let pushToken = ''
  let tokenWithoutScope = ''

  const wireTo = (url: string, headers: Record<string, string>) =>
    new Wire({ name: 'berth', url, headers, supports: everything })
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

  beforeAll(async () => {
    replica = await startReplica(stack)
    const wire = wireTo(stack.url, { authorization: basic(stack) })
    for (const name of [open, repository]) {
      await wire.push(name, layer)
      const mediaType = 'application/vnd.oci.image.layer.v1.tar'
      manifest = await newManifest(wire, name, { layers: [{ mediaType, digest: digestOf(layer), size: layer.length }] })
      await wire.pushManifest(name, manifest, 'latest')
    }
    const { body } = await stack.api('GET', '/distributions')
    const { id } = body.items.find((one: { basePath: string }) => one.basePath === open)
    expect((await stack.api('PATCH', `/distributions/${id}`, { access: 'public' })).status).toBe(200)
    const tokenFor = async (actions: string) => {
      const asked = await wire.send('GET', `/token?service=berth&scope=repository:${repository}:${actions}`)
      return JSON.parse(asked.body.toString()).token as string
    }
    pullToken = await tokenFor('pull')
    pushToken = await tokenFor('pull,push,delete')
    tokenWithoutScope = JSON.parse((await wire.send('GET', '/token?service=berth')).body.toString()).token as string
    wire.close()
  }, 120_000)
  afterAll(async () => {
    await replica?.stop()
  }, 60_000)

  /** Every way to pull, on a wire that is let in. */
  const expectPulls = async (wire: Wire, name: string) => {
    const get = (path: string, headers = {}) => wire.send('GET', `/v2/${name}/${path}`, { headers })
    const blob = `blobs/${digestOf(layer)}`
    expect(await get('tags/list')).toMatchObject({ status: 200 })
    const digest = String((await get('manifests/latest')).headers['docker-content-digest'])
    for (const reference of ['latest', digest]) {
      expect((await get(`manifests/${reference}`)).status).toBe(200)
      expect((await wire.send('HEAD', `/v2/${name}/manifests/${reference}`)).status).toBe(200)
    }
    expect((await get(blob)).body.equals(layer)).toBe(true)
    const part = await get(blob, { range: 'bytes=1000-1999' })
    expect(part.status).toBe(206)
    expect(part.body.equals(layer.subarray(1000, 2000))).toBe(true)
    expect((await wire.send('HEAD', `/v2/${name}/${blob}`)).status).toBe(200)
    expect((await get(`referrers/${digest}`)).status).toBe(200)
  }
  const expectAllPulls = async (url: string) => {
    const [tokened, anonymous] = [wireTo(url, bearer(pullToken)), wireTo(url, {})]
    await expectPulls(tokened, repository)
    await expectPulls(anonymous, open)
    for (const wire of [tokened, anonymous]) wire.close()
  }
  /** What an administrator without a scope is shown of the names. */
  const listed = async () => {
    const wire = wireTo(stack.url, bearer(tokenWithoutScope))
    const { status, headers, body } = await wire.send('GET', '/v2/_catalog')
    wire.close()
    expect(status).toBe(200)
    const { repositories } = JSON.parse(body.toString()) as { repositories: string[] }
    return { repositories, warning: headers.warning }
  }
  /** What needs another service says so, in time, with when to try again. */
  const expectRefused = async (asking: Promise<Reply>[]) => {
    const begun = Date.now()
    for (const { status, headers, body } of await Promise.all(asking)) {
      expect({ status, retryAfter: headers['retry-after'] }).toEqual({
        status: 503,
        retryAfter: expect.stringMatching(/^\d+$/),
      })
      // That to HEAD has no body.
      if (body.length > 0) expect(JSON.parse(body.toString()).errors[0].code).toBe('UNAVAILABLE')
    }
    expect(Date.now() - begun).toBeLessThan(refusedWithinMs)
  }
  const pushes = async (wire: Wire, bytes: Buffer, basicWire: Wire) => {
    const place = pathOf(await wire.begin(repository))
    return [
      wire.send('PUT', withDigest(place, digestOf(bytes)), { headers: octets, body: bytes }),
      wire.send('POST', `/v2/${repository}/blobs/uploads/?digest=${digestOf(bytes)}`, { headers: octets, body: bytes }),
      wire.pushManifest(repository, manifest, 'moved').then(({ reply }) => reply),
      wire.send('DELETE', `/v2/${repository}/manifests/latest`),
      // The yes to a client that may push is a promise to keep the blob, and only catalog can give it.
      wire.send('HEAD', `/v2/${repository}/blobs/${digestOf(layer)}`),
      // No other service can say whose password it is.
      basicWire.send('GET', `/v2/${repository}/manifests/latest`),
    ]
  }

  test('by SIGSTOP: pulls go on, pushes are refused in time and not done later, and go on after SIGCONT', async () => {
    const wire = wireTo(stack.url, bearer(pushToken))
    const byPassword = wireTo(stack.url, { authorization: basic(stack) })
    const bytes = randomBytes(1_000)
    const pids = others.map((service) => pidOf(stack, service))
    for (const pid of pids) process.kill(pid, 'SIGSTOP')
    try {
      await expectAllPulls(stack.url)
      expect(await listed()).toEqual({ repositories: [open], warning: expect.stringContaining('public names only') })
      const refused = expectRefused(await pushes(wire, bytes, byPassword))
      // Nor does a pull wait behind what waits.
      await expectAllPulls(stack.url)
      await refused
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT')
    }
    expect(await listed()).toEqual({ repositories: [repository, open], warning: undefined })
    await wire.push(repository, bytes)
    expect((await wire.pushManifest(repository, manifest, 'after')).reply.status).toBe(201)
    // What was refused is not done later: the delete and the push that catalog found waiting when it woke up.
    expect((await wire.send('HEAD', `/v2/${repository}/manifests/latest`)).status).toBe(200)
    expect((await wire.send('HEAD', `/v2/${repository}/manifests/moved`)).status).toBe(404)
    expect((await wire.send('GET', `/v2/${repository}/blobs/${digestOf(bytes)}`)).body.equals(bytes)).toBe(true)
    for (const each of [wire, byPassword]) each.close()
  }, 90_000)

  test('by SIGKILL: a registry that is left alone goes on with pulls, and refuses pushes in time', async () => {
    const wire = wireTo(replica.url, bearer(pushToken))
    const byPassword = wireTo(replica.url, { authorization: basic(stack) })
    const pids = others.map((service) => pidOf(stack, service))
    // With the program the six end, and are not started again. Each notices it in its own time.
    await stack.kill('SIGKILL')
    await until('the other services end', () => !pids.some(isAlive))
    await expectAllPulls(replica.url)
    const refused = expectRefused(await pushes(wire, randomBytes(1_000), byPassword))
    await expectAllPulls(replica.url)
    await refused
    await stack.restart()
    const again = wireTo(stack.url, { authorization: basic(stack) })
    expect((await again.pushManifest(repository, manifest, 'restarted')).reply.status).toBe(201)
    // The two share what is served, so what one was told the other knows, with no word between them.
    expect((await wire.send('HEAD', `/v2/${repository}/manifests/restarted`)).status).toBe(200)
    for (const each of [wire, byPassword, again]) each.close()
  }, 120_000)
})
