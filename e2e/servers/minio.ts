import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { freePort } from '@berth/standalone/children'
import { answers, startServerProcess } from './server-process.ts'

export type TestMinio = {
  endpoint: string
  accessKey: string
  secretKey: string
  pid: number
  log(): string
  stop(): Promise<void>
}

/** An empty MinIO on a free port of 127.0.0.1; `program` is what the bootstrap hands over as BERTH_TEST_MINIO. */
export async function startMinio(options: { program?: string | undefined } = {}): Promise<TestMinio> {
  const program = options.program ?? process.env.BERTH_TEST_MINIO
  if (!program) throw new Error('there is no MinIO: BERTH_TEST_MINIO is not set')
  const address = `127.0.0.1:${await freePort()}`
  const endpoint = `http://${address}`
  const accessKey = 'berth-test'
  const secretKey = 'berth-test-secret'
  const server = await startServerProcess({
    name: 'minio',
    program,
    args: (folder) => {
      const store = path.join(folder, 'store')
      mkdirSync(store)
      return ['server', '--quiet', '--address', address, '--console-address', '127.0.0.1:0', store]
    },
    env: {
      MINIO_ROOT_USER: accessKey,
      MINIO_ROOT_PASSWORD: secretKey,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
    },
    isReady: () => answers(`${endpoint}/minio/health/live`, 200),
  })
  return { endpoint, accessKey, secretKey, pid: server.pid, log: () => server.log(), stop: () => server.stop() }
}
