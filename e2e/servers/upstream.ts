import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { freePort } from '@berth/standalone/children'
import { findProgram } from './programs.ts'
import type { S3Place } from './s3-place.ts'
import { answers, startServerProcess } from './server-process.ts'

/** Whose tokens a registry takes. */
type TokenServer = { realm: string; service: string; issuer: string; jwks: object }

export type UpstreamOptions = {
  /** With these, every request needs Basic credentials; needs `htpasswd`. */
  htpasswd?: { user: string; password: string }
  /** With these, every request needs a token of this issuer; distribution 3 only. */
  token?: TokenServer
  /** A free one unless set. */
  port?: number
  /** Whether it remembers the blobs it has seen, as the packages have it do; not for tests that change its files. */
  remembersBlobs?: boolean
  /** The bucket that it stores in, which has to be there; a folder of its own unless set. */
  s3?: S3Place
}

/** A registry of another make, with an empty store that goes when it stops. */
export type Upstream = {
  url: string
  /** `127.0.0.1:PORT`, as in image names. */
  host: string
  pid: number
  /** The folder of its file-system storage. */
  store: string
  log(): string
  stop(): Promise<void>
}

/** Debian's docker-registry 2.8. */
export function startDockerRegistry(options: UpstreamOptions = {}): Promise<Upstream> {
  return startRegistry('docker-registry', findProgram('docker-registry'), options)
}

/** distribution 3, where the bootstrap has built it (BERTH_TEST_DISTRIBUTION). */
export function startDistribution(options: UpstreamOptions = {}): Promise<Upstream> {
  return startRegistry('distribution', process.env.BERTH_TEST_DISTRIBUTION, options)
}

async function startRegistry(name: string, program: string | undefined, options: UpstreamOptions): Promise<Upstream> {
  if (!program) throw new Error(`${name} is not installed`)
  const host = `127.0.0.1:${options.port ?? (await freePort())}`
  const url = `http://${host}`
  const server = await startServerProcess({
    name,
    program,
    args: (folder) => ['serve', writeConfiguration(folder, host, options)],
    // Without a collector to send to, distribution 3 would log an error for each batch of traces.
    env: { OTEL_TRACES_EXPORTER: 'none' },
    isReady: () => answers(`${url}/v2/`, 200, 401),
  })
  const { pid, folder } = server
  return { url, host, pid, store: storeIn(folder), log: () => server.log(), stop: () => server.stop() }
}

function storeIn(folder: string): string {
  return path.join(folder, 'store')
}

function writeConfiguration(folder: string, host: string, options: UpstreamOptions): string {
  const { htpasswd, token, remembersBlobs, s3 } = options
  const store = storeIn(folder)
  mkdirSync(store)
  // JSON is YAML.
  const configuration = {
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: false } },
    storage: {
      ...(s3 ? bucketStorage(s3) : { filesystem: { rootdirectory: store } }),
      delete: { enabled: true },
      ...(remembersBlobs ? { cache: { blobdescriptor: 'inmemory' } } : {}),
    },
    http: { addr: host, secret: 'for tests only' },
    ...(token ? { auth: { token: tokenSettings(folder, token) } } : {}),
    ...(htpasswd ? { auth: { htpasswd: { realm: 'upstream', path: writeHtpasswd(folder, htpasswd) } } } : {}),
  }
  const file = path.join(folder, 'config.yml')
  writeFileSync(file, JSON.stringify(configuration))
  return file
}

function bucketStorage({ endpoint, bucket, accessKey, secretKey }: S3Place): object {
  return {
    s3: {
      regionendpoint: endpoint,
      region: 'us-east-1',
      bucket,
      accesskey: accessKey,
      secretkey: secretKey,
      forcepathstyle: true,
      secure: endpoint.startsWith('https:'),
    },
    // Or it would send clients to the bucket, where this program asks for what the registry gives.
    redirect: { disable: true },
  }
}

function tokenSettings(folder: string, { jwks, ...settings }: TokenServer): object {
  const file = path.join(folder, 'jwks.json')
  writeFileSync(file, JSON.stringify(jwks))
  return { ...settings, jwks: file, signingalgorithms: ['ES256'] }
}

function writeHtpasswd(folder: string, { user, password }: { user: string; password: string }): string {
  const program = findProgram('htpasswd')
  if (!program) throw new Error('htpasswd is not installed')
  const file = path.join(folder, 'htpasswd')
  // bcrypt is all that these registries take; 4 is its cheapest.
  writeFileSync(file, execFileSync(program, ['-nbB', '-C', '4', user, password]))
  return file
}
