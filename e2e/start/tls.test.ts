import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import path from 'node:path'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import { keyEnvironmentOf, makeDatabase, makeSelfSigned, programOf, testServers } from '@berth/service/testing'
import { freePort } from '@berth/standalone/children'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { basic, sha256 } from '../berth/requests.ts'
import { environmentOf } from '../berth/stack.ts'
import { attemptStart, expectRefusal } from '../berth/start-attempt.ts'
import { withBerth } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { startServerProcess } from '../servers/server-process.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

type Reply = { status: number; headers: NodeJS.Dict<string | string[]>; body: Buffer; localPort: number | undefined }

/** A client that trusts one certificate, on one kept connection. */
function clientOf(url: string, ca: Buffer, authorization: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca })
  const send = (method: string, where: string, body?: Buffer) =>
    new Promise<Reply>((resolve, reject) => {
      const headers = { ...(authorization ? { authorization } : {}), 'content-length': String(body?.length ?? 0) }
      const outgoing = request(new URL(where, url), { method, agent, headers }, (answer) => {
        const { localPort } = answer.socket
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: Buffer.concat(chunks),
            localPort,
          }),
        )
      })
      outgoing.on('error', reject).end(body)
    })
  return { send, close: () => agent.destroy() }
}

function isShown(port: number, name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: 'localhost', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.subject === `CN=${name}`)
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

const ociManifest = 'application/vnd.oci.image.manifest.v1+json'

describe.each([
  ['in one process', {}],
  ['as processes', { BERTH_PROCESSES: 'true' }],
])('https, Berth %s', (_name, env) => {
  const folder = makeTemporaryFolder('tls')
  const first = makeSelfSigned('berth-first')
  const files = { BERTH_TLS_CERT: path.join(folder, 'tls.crt'), BERTH_TLS_KEY: path.join(folder, 'tls.key') }
  const stack = withBerth(async () => {
    writeFileSync(files.BERTH_TLS_CERT, first.cert)
    writeFileSync(files.BERTH_TLS_KEY, first.key)
    return { own: true, env: { ...env, ...files } }
  })
  let client: ReturnType<typeof clientOf>
  beforeAll(() => {
    client = clientOf(stack.url, first.cert, basic(stack))
  })
  afterAll(() => {
    client?.close()
    removeFolder(folder)
  })

  const push = async (repository: string, bytes: Buffer) => {
    const { headers } = await client.send('POST', `/v2/${repository}/blobs/uploads/`)
    const put = await client.send('PUT', `${String(headers.location)}?digest=${sha256(bytes)}`, bytes)
    expect(put.status).toBe(201)
    return { digest: sha256(bytes), size: bytes.length }
  }

  test('the line that says ready says https, and logins are sent there by https', async () => {
    expect(stack.url).toMatch(/^https:/)
    const anonymous = clientOf(stack.url, first.cert, '')
    const { status, headers } = await anonymous.send('GET', '/v2/')
    anonymous.close()
    expect(status).toBe(401)
    expect(headers['www-authenticate']).toContain(`realm="https://${stack.host}/token"`)
  })

  const testSkopeo = missingPrograms('skopeo').length === 0 ? test : test.skip
  testSkopeo('a real client pushes and pulls; bytes arrive whole', async () => {
    const layer = randomBytes(8 << 20)
    const layers = [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...(await push('team/app', layer)) }]
    const configuration = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [sha256(layer)] } }
    const config = {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      ...(await push('team/app', Buffer.from(JSON.stringify(configuration)))),
    }
    const manifest = JSON.stringify({ schemaVersion: 2, mediaType: ociManifest, config, layers })
    expect((await client.send('PUT', '/v2/team/app/manifests/1', Buffer.from(manifest))).status).toBe(201)
    const certificates = path.join(folder, 'certificates')
    mkdirSync(certificates)
    writeFileSync(path.join(certificates, 'ca.crt'), first.cert)
    const copy = path.join(folder, 'copy')
    const run = promisify(execFile)
    const login = ['--src-creds', `${stack.user}:${stack.password}`]
    const flags = ['--insecure-policy', 'copy', '--quiet', '--src-cert-dir', certificates, ...login]
    await run('skopeo', [...flags, `docker://${stack.host}/team/app:1`, `dir:${copy}`])
    expect(readFileSync(path.join(copy, sha256(layer).slice('sha256:'.length))).equals(layer)).toBe(true)
    // Without the certificate it does not trust us.
    await expect(
      run('skopeo', ['inspect', '--creds', login[1] ?? '', `docker://${stack.host}/team/app:1`]),
    ).rejects.toThrow(/certificate/)
  })

  test('a new pair is shown to new connections, and open ones go on', async () => {
    const before = await client.send('GET', '/v2/')
    const second = makeSelfSigned('berth-second')
    for (const [file, bytes] of [
      [files.BERTH_TLS_CERT, second.cert],
      [files.BERTH_TLS_KEY, second.key],
    ] as const) {
      writeFileSync(`${file}.new`, bytes)
      renameSync(`${file}.new`, file)
    }
    await until('the new certificate is shown', () => isShown(stack.port, 'berth-second'), 10_000)
    const after = await client.send('GET', '/v2/')
    expect(after).toMatchObject({ status: 200, localPort: before.localPort })
    const other = clientOf(stack.url, second.cert, basic(stack))
    expect((await other.send('GET', '/v2/')).status).toBe(200)
    other.close()
  })
})

test('a service of its own speaks https too', async () => {
  const database = await makeDatabase()
  const port = await freePort()
  const pair = makeSelfSigned('berth-alone')
  const folder = makeTemporaryFolder('tls-alone')
  const files = { BERTH_TLS_CERT: path.join(folder, 'tls.crt'), BERTH_TLS_KEY: path.join(folder, 'tls.key') }
  writeFileSync(files.BERTH_TLS_CERT, pair.cert)
  writeFileSync(files.BERTH_TLS_KEY, pair.key)
  const client = clientOf(`https://localhost:${port}`, pair.cert, '')
  try {
    const server = await startServerProcess({
      name: 'build-alone',
      program: process.execPath,
      args: () => [programOf('build')],
      env: {
        ...files,
        BERTH_DATABASE_URL: database.url,
        BERTH_NATS_URL: testServers().natsUrl,
        ...keyEnvironmentOf('build'),
        BERTH_PORT: String(port),
        BERTH_INTERNAL_PORT: String(await freePort()),
      },
      isReady: async () => {
        try {
          return (await client.send('GET', '/healthz')).status === 200
        } catch {
          // Not listening yet.
          return false
        }
      },
    })
    await server.stop()
  } finally {
    client.close()
    removeFolder(folder)
    await database.drop()
  }
})

test('a certificate without its key stops the start, and says so', async () => {
  const folder = makeTemporaryFolder('tls-refused')
  const env = { BERTH_PORT: '0', BERTH_TLS_CERT: path.join(folder, 'tls.crt') }
  const home = path.join(folder, 'home')
  const attempt = await attemptStart(environmentOf({ home, password: 'correct horse battery', options: { env } }))
  removeFolder(folder)
  expectRefusal(attempt, /BERTH_TLS_CERT is set and BERTH_TLS_KEY is not/, /set both/)
})
