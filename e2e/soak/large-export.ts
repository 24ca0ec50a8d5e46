import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { forgetPeak, memoryOf } from '../bench/memory.ts'
import { basic } from '../berth/basic.ts'
import { processesOn } from '../berth/processes.ts'
import { pushBlob, pushManifest, startUpload } from '../berth/push.ts'
import type { TestStack } from '../berth/stack.ts'

const layerBytes = 1 << 30
const chunkBytes = 1 << 20
const patienceMs = 600_000
const repository = 'soak/large'
export const mostMiB = 300

/** What an export of so many GiB came to: how large it was, and how much memory the process of catalog had at most. */
export type LargeExport = {
  gibibytes: number
  taskSeconds: number
  downloadSeconds: number
  isWhole: boolean
  mostMiB: number
}

/** Exports layers of zeros, which differ by their first bytes, and downloads them. For a stack whose services are processes of their own. */
export async function exportLarge(stack: TestStack, gibibytes: number): Promise<LargeExport> {
  const target = { url: stack.url, authorization: basic(stack) }
  const layers = []
  for (let number = 0; number < gibibytes; number++) layers.push(await pushZeros(stack, number))
  const config = await pushBlob(target, repository, Buffer.from('{"architecture":"amd64","os":"linux"}'))
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: layers.map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer })),
  }
  await pushManifest(target, repository, '1', JSON.stringify(manifest), mediaType)
  const pid = catalogOf(stack)
  forgetPeak(pid)
  const startedAt = performance.now()
  const body = { repositories: [{ name: repository }], to: { kind: 'download' } }
  const { body: task } = await stack.api('POST', '/exports', body)
  const { error, result } = await stack.waitForTask(task.id, patienceMs)
  if (error) throw new Error(`the export ended with ${error.code}: ${error.message}`)
  const { exportId, archiveDigest } = result as { exportId: string; archiveDigest: string }
  const doneAt = performance.now()
  const answer = await fetch(`${stack.url}/api/v1/exports/${exportId}/download`, {
    headers: { authorization: basic(stack) },
  })
  const hash = createHash('sha256')
  for await (const chunk of answer.body ?? []) hash.update(chunk as Uint8Array)
  return {
    gibibytes,
    taskSeconds: (doneAt - startedAt) / 1_000,
    downloadSeconds: (performance.now() - doneAt) / 1_000,
    isWhole: `sha256:${hash.digest('hex')}` === archiveDigest,
    mostMiB: memoryOf(pid, 'VmHWM'),
  }
}

async function pushZeros(stack: TestStack, number: number): Promise<{ digest: string; size: number }> {
  const target = { url: stack.url, authorization: basic(stack) }
  const zeros = Buffer.alloc(chunkBytes)
  const hash = createHash('sha256')
  const first = Buffer.alloc(chunkBytes)
  first.writeUInt32BE(number)
  const source = function* () {
    for (let at = 0; at < layerBytes; at += chunkBytes) {
      const chunk = at === 0 ? first : zeros
      hash.update(chunk)
      yield chunk
    }
  }
  const upload = await startUpload(target, repository)
  const headers = { authorization: basic(stack), 'content-type': 'application/octet-stream' }
  const sent = await fetch(upload, {
    method: 'PATCH',
    headers,
    body: Readable.toWeb(Readable.from(source())) as never,
    duplex: 'half',
  } as RequestInit)
  if (sent.status !== 202) throw new Error(`a layer was answered ${sent.status}: ${await sent.text()}`)
  const url = new URL(sent.headers.get('location') ?? '', stack.url)
  const digest = `sha256:${hash.digest('hex')}`
  url.searchParams.set('digest', digest)
  const ended = await fetch(url, { method: 'PUT', headers: { authorization: basic(stack) } })
  if (ended.status !== 201) throw new Error(`a layer was answered ${ended.status}: ${await ended.text()}`)
  return { digest, size: layerBytes }
}

/** The process of catalog, of those that a stack has started. */
export function catalogOf(stack: TestStack): number {
  const found = processesOn('services/catalog/src/main.ts').find(({ pid }) => parentOf(pid) === stack.pid)
  if (!found) throw new Error('catalog is no process of its own here')
  return found.pid
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}
