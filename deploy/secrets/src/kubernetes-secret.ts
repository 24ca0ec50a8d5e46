import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { StartupError } from '@berth/service'
import { writeNew } from './files.ts'
import {
  fillSecrets,
  followsFromOthers,
  isNatsUsersOfRights,
  natsUsersName,
  natsUsersOfRights,
} from './secrets-folder.ts'

/** Where the API of Kubernetes is and who asks: of a pod what its service account is given. */
export type Cluster = { host: string; port: string; namespace: string; token: string; ca: string }

type Secret = { metadata: { resourceVersion: string }; data?: Record<string, string> }

const account = '/var/run/secrets/kubernetes.io/serviceaccount'
const attempts = 5
const mostUsersBytes = 512 << 10
const answerMs = 15_000

/** Of the pod that this runs in. Throws `StartupError` outside of one. */
export function thisCluster(): Cluster {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env
  const read = (name: string) => readFileSync(path.join(account, name), 'utf8').trim()
  try {
    if (!host || !port) throw new Error('KUBERNETES_SERVICE_HOST is not set')
    return { host, port, namespace: read('namespace'), token: read('token'), ca: read('ca.crt') }
  } catch (cause) {
    throw new StartupError(
      `this is no pod with a service account: ${(cause as Error).message}`,
      'run it as the job of the chart does',
      { cause },
    )
  }
}

/**
 * Makes the keys that a Secret lacks, and the Secret where there is none; answers the names of those that were made. What is there
 * stays: the Secret is changed only as it was read, and read again where somebody else was faster. Beside `nats-users.conf` it has the
 * users under the name of what they may do, for which a pod of NATS can wait.
 */
export async function fillKubernetesSecret(name: string, cluster: Cluster): Promise<string[]> {
  const secrets = `/api/v1/namespaces/${cluster.namespace}/secrets`
  for (let attempt = 1; ; attempt++) {
    const found = await call(cluster, 'GET', `${secrets}/${name}`, [404])
    const known = decode((found.body as Secret).data ?? {})
    const wanted = fill(found.status === 404 ? {} : known)
    const isLacking = (key: string, text: string) =>
      known[key] === undefined || (followsFromOthers(key) && known[key] !== text)
    const missing = Object.fromEntries(Object.entries(wanted).filter(([key, text]) => isLacking(key, text)))
    const made = Object.keys(missing)
    if (found.status !== 404 && made.length === 0) return []
    const data = { ...encode(missing), ...(made.includes(natsUsersOfRights) ? withoutOld(known) : {}) }
    const change =
      found.status === 404
        ? await call(cluster, 'POST', secrets, [409], {
            apiVersion: 'v1',
            kind: 'Secret',
            metadata: { name, labels: { 'app.kubernetes.io/name': 'berth' } },
            type: 'Opaque',
            data,
          })
        : await call(cluster, 'PATCH', `${secrets}/${name}`, [409], {
            metadata: { resourceVersion: (found.body as Secret).metadata.resourceVersion },
            data,
          })
    if (change.status !== 409) return made
    if (attempt === attempts)
      throw new StartupError(`the secret ${name} changes all the time`, 'see who else writes it')
  }
}

/** All the keys, those that are known as they are. */
function fill(known: Record<string, string>): Record<string, string> {
  const folder = mkdtempSync(path.join(tmpdir(), 'berth-secrets-'))
  try {
    for (const [key, text] of Object.entries(known)) if (!followsFromOthers(key)) writeNew(folder, key, text)
    const { secrets } = fillSecrets(folder)
    const users = secrets.get(natsUsersName) as string
    return { ...Object.fromEntries(secrets), [natsUsersOfRights]: users }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Takes away what users might do in old releases, once it is much: a Secret holds 1 MiB. That of the release before is still mounted. */
function withoutOld(known: Record<string, string>): Record<string, null> {
  const kept = Object.entries(known).filter(([key]) => isNatsUsersOfRights(key))
  const [, before = ''] = /^# rights (\w+)$/m.exec(known[natsUsersName] ?? '') ?? []
  if (kept.reduce((bytes, [, text]) => bytes + text.length, 0) < mostUsersBytes) return {}
  return Object.fromEntries(kept.filter(([key]) => key !== `nats-users-${before}.conf`).map(([key]) => [key, null]))
}

const decode = (data: Record<string, string>) =>
  Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64').toString()]))
const encode = (texts: Record<string, string>) =>
  Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]))

type Answer = { status: number; body: unknown }

/** Asks the API. Throws `StartupError` for an answer that is no success and not among `expected`. */
async function call(
  cluster: Cluster,
  method: string,
  place: string,
  expected: number[],
  body?: object,
): Promise<Answer> {
  const answer = await send(cluster, method, place, body).catch((cause: Error) => {
    throw new StartupError(
      `the API of Kubernetes at ${cluster.host}:${cluster.port} cannot be asked: ${cause.message}`,
      'let this pod reach it',
      { cause },
    )
  })
  if (answer.status < 300 || expected.includes(answer.status)) return answer
  const { message } = answer.body as { message?: string }
  throw new StartupError(
    `Kubernetes answered ${answer.status} to ${method} ${place}: ${message ?? ''}`,
    'its service account needs get, create and patch of that secret',
  )
}

function send(cluster: Cluster, method: string, place: string, body?: object): Promise<Answer> {
  const text = body && JSON.stringify(body)
  const headers = {
    authorization: `Bearer ${cluster.token}`,
    accept: 'application/json',
    ...(text && { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' }),
  }
  return new Promise((resolve, reject) => {
    const { host, port, ca } = cluster
    const asking = request({ host, port, path: place, method, headers, ca, timeout: answerMs }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString()) })
        } catch {
          reject(new Error(`it answered ${response.statusCode} without JSON`))
        }
      })
    })
    asking.on('timeout', () => asking.destroy(new Error(`no answer within ${answerMs / 1_000} s`)))
    asking.on('error', reject)
    asking.end(text)
  })
}
