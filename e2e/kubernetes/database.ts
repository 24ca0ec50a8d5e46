import { randomBytes } from 'node:crypto'
import { until } from '../berth/processes.ts'
import type { Cluster } from './cluster.ts'

const namespace = 'database'
const metadata = { name: 'postgresql', namespace, labels: { app: 'postgresql' } }
const owner = 'owner'
const password = () => randomBytes(12).toString('base64url')

/**
 * A PostgreSQL beside the release, as an operator has one: its owner makes tables, and services log in as somebody who may not. Answers
 * the values for the chart; the secret that they name is in `berth`.
 */
export async function startDatabase(cluster: Cluster, image: string): Promise<object> {
  const passwords = { owner: password(), services: password() }
  const secret = (name: string, place: string, data: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: place },
    stringData: data,
  })
  await cluster.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    secret('password', namespace, { password: passwords.owner }),
    secret('database', 'berth', {
      username: 'services',
      password: passwords.services,
      'migration-username': owner,
      'migration-password': passwords.owner,
    }),
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { selector: metadata.labels, ports: [{ port: 5432 }] } },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        selector: { matchLabels: metadata.labels },
        template: { metadata: { labels: metadata.labels }, spec: podSpec(image) },
      },
    },
  )
  const psql = (statement: string) =>
    cluster.kubectl(['-n', namespace, 'exec', '-i', 'deploy/postgresql', '--', 'psql', '-q', '-U', owner, 'berth'], {
      input: statement,
    })
  await until(
    'PostgreSQL takes logins',
    () =>
      psql('select 1').then(
        () => true,
        () => false,
      ),
    60_000,
  )
  await psql(`create role services login password '${passwords.services}'`)
  return {
    external: {
      host: `postgresql.${namespace}.svc`,
      sslMode: 'disable',
      existingSecret: 'database',
      migrationUser: true,
    },
  }
}

function podSpec(image: string): object {
  const mounts = { password: '/password', data: '/var/lib/postgresql/data', run: '/var/run/postgresql', tmp: '/tmp' }
  const env = {
    POSTGRES_USER: owner,
    POSTGRES_DB: 'berth',
    PGDATA: '/var/lib/postgresql/data/berth',
    POSTGRES_PASSWORD_FILE: '/password/password',
  }
  return {
    securityContext: { runAsUser: 999, runAsGroup: 999, fsGroup: 999 },
    containers: [
      {
        name: 'postgresql',
        image,
        imagePullPolicy: 'IfNotPresent',
        args: ['postgres', '-c', 'max_connections=200'],
        env: Object.entries(env).map(([name, value]) => ({ name, value })),
        volumeMounts: Object.entries(mounts).map(([name, mountPath]) => ({ name, mountPath })),
      },
    ],
    volumes: [
      { name: 'password', secret: { secretName: 'password' } },
      ...['data', 'run', 'tmp'].map((name) => ({ name, emptyDir: {} })),
    ],
  }
}
