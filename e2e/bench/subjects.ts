import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '@berth/standalone/children'
import { startMinio } from '../servers/minio.ts'
import type { S3Place } from '../servers/s3-place.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { startDistribution, startDockerRegistry } from '../servers/upstream.ts'

/** A registry under measurement. `authorization` is sent with every request about the repository; peers run open. */
export type Subject = {
  name: string
  url: string
  host: string
  pid: number
  /** For `skopeo --dest-creds`. */
  credentials: string | undefined
  authorization(repository: string, scope?: string): Promise<Record<string, string>>
  stop(): Promise<void>
}

const password = 'bench-password'
const nodeFlags = new URL(import.meta.resolve('@berth/standalone/node-flags.json'))
const standalone = fileURLToPath(import.meta.resolve('@berth/standalone/main'))

/** Starts Berth as users do: the standalone program, on the file system, with authentication. */
export async function startBerth(more: NodeJS.ProcessEnv = {}): Promise<Subject> {
  const home = makeTemporaryFolder('bench-berth')
  const port = await freePort()
  const env = {
    ...process.env,
    BERTH_HOME: path.join(home, 'home'),
    BERTH_PORT: String(port),
    BERTH_ADMIN_PASSWORD: password,
    ...more,
  }
  const flags = JSON.parse(readFileSync(nodeFlags, 'utf8')) as string[]
  const child = spawn(process.execPath, [...flags, standalone], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => void child.on('exit', () => resolve()))
  const url = `http://127.0.0.1:${port}`
  await new Promise<void>((resolve, reject) => {
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('berth is ready')) resolve()
    })
    child.on('exit', () => reject(new Error(`berth did not start: ${said}`)))
  })
  return {
    name: 'berth',
    url,
    host: `127.0.0.1:${port}`,
    pid: child.pid as number,
    credentials: `admin:${password}`,
    authorization: (repository, scope) => askToken(url, scope ?? `repository:${repository}:pull,push`),
    stop: async () => {
      child.kill('SIGTERM')
      await ended
      removeFolder(home)
    },
  }
}

async function askToken(url: string, scope: string): Promise<Record<string, string>> {
  const answer = await fetch(`${url}/token?service=berth&scope=${encodeURIComponent(scope)}`, {
    headers: basic(),
  })
  const { token } = (await answer.json()) as { token: string }
  return { authorization: `Bearer ${token}` }
}

function basic(): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}` }
}

/** Berth and distribution 3 with their blobs in one bucket of a MinIO, and what ends all three. */
export async function startOnMinio(): Promise<{ subjects: Subject[]; stop: () => Promise<void> }> {
  const minio = await startMinio()
  const { endpoint, accessKey, secretKey } = minio
  const bucket = 'bench'
  // Berth makes the bucket. What the two keep in it have no names in common.
  const berth = await startBerth({
    BERTH_S3_ENDPOINT: endpoint,
    BERTH_S3_BUCKET: bucket,
    BERTH_S3_ACCESS_KEY: accessKey,
    BERTH_S3_SECRET_KEY: secretKey,
  })
  const subjects = [berth, await startPeer('dist. 3', { endpoint, bucket, accessKey, secretKey })]
  const stop = async () => {
    await Promise.all(subjects.map((subject) => subject.stop()))
    await minio.stop()
  }
  return { subjects, stop }
}

/** Calls the API of Berth as its administrator. Throws for what is no success. */
export async function callApi<T>(berth: Subject, method: string, apiPath: string, body?: unknown): Promise<T> {
  return (await (await openApi(berth, method, apiPath, body)).json()) as T
}

/** As `callApi`, for an answer that is read otherwise. */
export async function openApi(berth: Subject, method: string, apiPath: string, body?: unknown): Promise<Response> {
  const answer = await fetch(`${berth.url}/api/v1${apiPath}`, {
    method,
    headers: { ...basic(), 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (!answer.ok) throw new Error(`${method} ${apiPath}: ${answer.status} ${await answer.text()}`)
  return answer
}

/** Starts a peer: Debian's docker-registry 2.8, or distribution 3 where it could be built; in a bucket, or in a folder of its own. */
export async function startPeer(name: '2.8' | 'dist. 3', s3?: S3Place): Promise<Subject> {
  const start = name === '2.8' ? startDockerRegistry : startDistribution
  const upstream = await start({ remembersBlobs: true, ...(s3 ? { s3 } : {}) })
  return { ...upstream, name, credentials: undefined, authorization: async () => ({}) }
}
