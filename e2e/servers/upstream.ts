import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { freePort } from '@berth/standalone/src/children/free-port.ts'
import { findProgram } from './programs.ts'
import { answers, startServerProcess } from './server-process.ts'

export type UpstreamOptions = {
  /** With these, every request needs Basic credentials; needs `htpasswd`. */
  htpasswd?: { user: string; password: string }
  /** A free one unless set. */
  port?: number
}

/** A registry of another make, with an empty store that goes when it stops. */
export type Upstream = {
  url: string
  /** `127.0.0.1:PORT`, as in image names. */
  host: string
  pid: number
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
    args: (folder) => ['serve', writeConfiguration(folder, host, options.htpasswd)],
    // Without a collector to send to, distribution 3 would log an error for each batch of traces.
    env: { OTEL_TRACES_EXPORTER: 'none' },
    isReady: () => answers(`${url}/v2/`, 200, 401),
  })
  return { url, host, pid: server.pid, log: () => server.log(), stop: () => server.stop() }
}

function writeConfiguration(folder: string, host: string, htpasswd: UpstreamOptions['htpasswd']): string {
  const store = path.join(folder, 'store')
  mkdirSync(store)
  // JSON is YAML.
  const configuration = {
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: store }, delete: { enabled: true } },
    http: { addr: host, secret: 'for tests only' },
    ...(htpasswd ? { auth: { htpasswd: { realm: 'upstream', path: writeHtpasswd(folder, htpasswd) } } } : {}),
  }
  const file = path.join(folder, 'config.yml')
  writeFileSync(file, JSON.stringify(configuration))
  return file
}

function writeHtpasswd(folder: string, { user, password }: { user: string; password: string }): string {
  const program = findProgram('htpasswd')
  if (!program) throw new Error('htpasswd is not installed')
  const file = path.join(folder, 'htpasswd')
  // bcrypt is all that these registries take; 4 is its cheapest.
  writeFileSync(file, execFileSync(program, ['-nbB', '-C', '4', user, password]))
  return file
}
