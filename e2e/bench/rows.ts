import { randomBytes } from 'node:crypto'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { blobOf, type Image, newImage, Pusher, writeLayout } from './content.ts'
import { load, runCommand } from './run-command.ts'
import type { Subject } from './subjects.ts'

/** One line of the table: what is measured, and how good it is meant to be beside each peer (a ratio of Berth to it). */
export type Row = {
  name: string
  unit: 'requests/s' | 'GB/s' | 's' | 'ms'
  goals: Partial<Record<string, number>>
  /** Puts in what is measured; once for each subject. */
  prepare?: (subject: Subject) => Promise<void>
  measure: (subject: Subject) => Promise<number>
}

const loadSeconds = 3
const mib = 1 << 20

async function withPusher<T>(subject: Subject, repository: string, work: (pusher: Pusher) => Promise<T>): Promise<T> {
  const pusher = new Pusher(subject, repository)
  try {
    await pusher.login()
    return await work(pusher)
  } finally {
    pusher.close()
  }
}

const manifestByTag: Row = {
  name: 'manifest GET by tag, 16 connections',
  unit: 'requests/s',
  goals: { '2.8': 15, 'dist. 3': 4 },
  prepare: (subject) =>
    withPusher(subject, 'bench/manifest', (pusher) => pusher.pushImage(newImage(3, 1_024), 'latest')),
  measure: async (subject) => {
    // 2.8 gives OCI manifests only to clients that ask for them.
    const headers = {
      ...(await subject.authorization('bench/manifest')),
      accept: 'application/vnd.oci.image.manifest.v1+json',
    }
    return (
      await load(`${subject.url}/v2/bench/manifest/manifests/latest`, {
        connections: 16,
        seconds: loadSeconds,
        headers,
      })
    ).requestsPerSecond
  },
}

const largeBlob = blobOf(randomBytes(256 * mib))

function blobGet(connections: number): Row {
  return {
    name: `blob GET 256 MiB, ${connections} connection${connections > 1 ? 's' : ''}`,
    unit: 'GB/s',
    goals: { '2.8': 1.05, 'dist. 3': 1.05 },
    prepare: (subject) => withPusher(subject, 'bench/blob', (pusher) => pusher.pushBlob(largeBlob)),
    measure: async (subject) => {
      const headers = await subject.authorization('bench/blob')
      return (
        (
          await load(`${subject.url}/v2/bench/blob/blobs/${largeBlob.digest}`, {
            connections,
            seconds: loadSeconds,
            headers,
          })
        ).bytesPerSecond / 1e9
      )
    },
  }
}

const blobPush: Row = {
  name: 'blob push 256 MiB, durable when answered',
  unit: 's',
  goals: { '2.8': 1 / 2.2, 'dist. 3': 1 / 1.2 },
  measure: async (subject) => {
    const bytes = Buffer.from(largeBlob.bytes)
    randomBytes(16).copy(bytes)
    const blob = blobOf(bytes)
    return withPusher(subject, 'bench/push', async (pusher) => {
      const startedAt = performance.now()
      await pusher.pushBlob(blob)
      return (performance.now() - startedAt) / 1000
    })
  },
}

let repositories = 0

const knownPush: Row = {
  name: 'blob push 256 MiB of which the store has the bytes',
  unit: 's',
  goals: {},
  prepare: (subject) => withPusher(subject, 'bench/known', (pusher) => pusher.pushBlob(largeBlob)),
  measure: (subject) =>
    // Into a repository that does not have them yet.
    withPusher(subject, `bench/known-${repositories++}`, async (pusher) => {
      const startedAt = performance.now()
      await pusher.pushBlob(largeBlob)
      return (performance.now() - startedAt) / 1000
    }),
}

const skopeoPush: Row = {
  name: '10-layer small image push by skopeo',
  unit: 'ms',
  goals: { 'dist. 3': 0.8 },
  measure: async (subject) => {
    const folder = makeTemporaryFolder('bench-layout')
    try {
      writeLayout(folder, newImage(10, 4_096), 'x')
      const credentials = subject.credentials ? ['--dest-creds', subject.credentials] : []
      const { seconds } = await runCommand('skopeo', [
        'copy',
        '-q',
        '--dest-tls-verify=false',
        ...credentials,
        `oci:${folder}:x`,
        `docker://${subject.host}/bench/skopeo:x`,
      ])
      return seconds * 1000
    } finally {
      removeFolder(folder)
    }
  },
}

const manySmall: Row = {
  name: '500 small images over one connection (2,500 blobs)',
  unit: 's',
  goals: { 'dist. 3': 0.55 },
  measure: async (subject) => {
    const images = Array.from({ length: 500 }, () => newImage(4, 1_024))
    return withPusher(subject, 'bench/many', async (pusher) => {
      const startedAt = performance.now()
      for (const [i, image] of images.entries()) await pusher.pushImage(image, `t${i}`)
      return (performance.now() - startedAt) / 1000
    })
  },
}

const clientsAtOnce = 4

const manyClients: Row = {
  name: '400 small images by four clients at once',
  unit: 's',
  goals: { 'dist. 3': 0.6 },
  measure: async (subject) => {
    const images = Array.from({ length: 400 }, () => newImage(4, 1_024))
    const startedAt = performance.now()
    await Promise.all(
      Array.from({ length: clientsAtOnce }, (_, client) =>
        withPusher(subject, `bench/client-${client}`, async (pusher) => {
          for (let i = client; i < images.length; i += clientsAtOnce)
            await pusher.pushImage(images[i] as Image, `t${i}`)
        }),
      ),
    )
    return (performance.now() - startedAt) / 1000
  },
}

const tagsList: Row = {
  name: 'tags/list?n=100 of 500 tags, 8 connections',
  unit: 'requests/s',
  goals: { 'dist. 3': 2 },
  prepare: (subject) =>
    withPusher(subject, 'bench/tags', async (pusher) => {
      const image = newImage(1, 1_024)
      await pusher.pushImage(image, 'first')
      for (let i = 0; i < 499; i++) await pusher.pushManifest(image, `tag-${i}`)
    }),
  measure: async (subject) => {
    const headers = await subject.authorization('bench/tags')
    return (
      await load(`${subject.url}/v2/bench/tags/tags/list?n=100`, { connections: 8, seconds: loadSeconds, headers })
    ).requestsPerSecond
  },
}

/** The rows that are measured against every peer in the same way. */
export const rows: readonly Row[] = [
  manifestByTag,
  blobGet(1),
  blobGet(4),
  blobPush,
  knownPush,
  skopeoPush,
  manySmall,
  manyClients,
  tagsList,
]

const onMinio = (row: Row, goal: number): Row => ({ ...row, name: `MinIO: ${row.name}`, goals: { 'dist. 3': goal } })

/** What depends on the store, with the blobs of all subjects in one MinIO. */
export const rowsOnMinio: readonly Row[] = [
  onMinio(blobGet(1), 0.9),
  onMinio(blobGet(4), 0.9),
  onMinio(blobPush, 1),
  onMinio(manySmall, 1),
]
