import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { forgetPeak, memoryOf } from '../bench/memory.ts'
import { basic } from '../berth/basic.ts'
import type { TestStack } from '../berth/stack.ts'
import { catalogOf } from './large-export.ts'

const layerBytes = 1 << 30
const chunkBytes = 1 << 20
const patienceMs = 900_000
// Four blobs are read at once, a MiB of each; it is the same for 2 GiB and for 10.
export const mostImportMiB = 450
const manifestType = 'application/vnd.oci.image.manifest.v1+json'

/** What imports of so many GiB came to: how long they took, and how much memory the process of catalog had at most. */
export type LargeImport = {
  gibibytes: number
  /** Of a folder that is read in place, and all of which is new. */
  folderSeconds: number
  /** Of the same as a tar that is uploaded: sent, planned, and imported, with nothing that is new. */
  uploadSeconds: number
  planSeconds: number
  againSeconds: number
  isWhole: boolean
  startMiB: number
  /** At most, of each of these. */
  phasesMiB: number[]
  mostMiB: number
}

/** Imports layers of zeros, which differ by their first bytes. For a stack whose services are processes of their own. */
export async function importLarge(stack: TestStack, gibibytes: number): Promise<LargeImport> {
  const folder = path.join(stack.home, 'transfer', 'large')
  const digest = await writeLayout(folder, gibibytes)
  const pid = catalogOf(stack)
  const phasesMiB: number[] = []
  const timed = async (work: () => Promise<void>): Promise<number> => {
    forgetPeak(pid)
    const startedAt = performance.now()
    await work()
    phasesMiB.push(memoryOf(pid, 'VmHWM'))
    return (performance.now() - startedAt) / 1_000
  }
  const startMiB = memoryOf(pid, 'VmRSS')
  const folderSeconds = await timed(async () => {
    const { body } = await stack.api('POST', '/imports', { from: { kind: 'directory', path: 'large' } })
    await apply(stack, body.id, { unnamed: 'soak/folder' })
  })
  const { body: job } = await stack.api('POST', '/imports', { from: { kind: 'upload' } })
  const uploadSeconds = await timed(() => upload(stack, job.upload, folder))
  const map = { unnamed: 'soak/upload' }
  const planSeconds = await timed(async () => {
    const { status, body } = await stack.api('POST', `/imports/${job.id}/plan`, { map })
    if (status !== 200) throw new Error(`the plan was answered ${status}: ${JSON.stringify(body)}`)
  })
  const againSeconds = await timed(() => apply(stack, job.id, map))
  const digests = [await headOf(stack, 'soak/folder'), await headOf(stack, 'soak/upload')]
  return {
    gibibytes,
    folderSeconds,
    uploadSeconds,
    planSeconds,
    againSeconds,
    isWhole: digests.every((one) => one === digest),
    startMiB,
    phasesMiB,
    mostMiB: Math.max(...phasesMiB),
  }
}

async function headOf(stack: TestStack, repository: string): Promise<string | null> {
  const headers = { authorization: basic(stack), accept: manifestType }
  const answer = await fetch(`${stack.url}/v2/${repository}/manifests/1`, { method: 'HEAD', headers })
  return answer.headers.get('docker-content-digest')
}

async function apply(stack: TestStack, id: string, map: Record<string, string>): Promise<void> {
  const { body: task } = await stack.api('POST', `/imports/${id}/apply`, { map })
  const { error } = await stack.waitForTask(task.id, patienceMs)
  if (error) throw new Error(`the import ended with ${error.code}: ${error.message}`)
}

/** Writes an OCI layout with an image of so many layers; answers its digest. */
async function writeLayout(folder: string, layerCount: number): Promise<string> {
  await mkdir(path.join(folder, 'blobs', 'sha256'), { recursive: true })
  const write = async (mediaType: string, chunks: Iterable<Buffer>) => {
    const hash = createHash('sha256')
    let size = 0
    const counted = function* () {
      for (const chunk of chunks) {
        hash.update(chunk)
        size += chunk.length
        yield chunk
      }
    }
    const unnamed = path.join(folder, 'blobs', 'unnamed')
    await pipeline(Readable.from(counted()), createWriteStream(unnamed))
    const hex = hash.digest('hex')
    await rename(unnamed, path.join(folder, 'blobs', 'sha256', hex))
    return { mediaType, digest: `sha256:${hex}`, size }
  }
  const layers = []
  for (let number = 0; number < layerCount; number++)
    layers.push(await write('application/vnd.oci.image.layer.v1.tar', zeros(number)))
  const config = await write('application/vnd.oci.image.config.v1+json', [
    Buffer.from('{"architecture":"amd64","os":"linux"}'),
  ])
  const manifest = JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config, layers })
  const annotations = { 'org.opencontainers.image.ref.name': '1' }
  const image = { ...(await write(manifestType, [Buffer.from(manifest)])), annotations }
  await writeFile(path.join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [image] }))
  await writeFile(path.join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  return image.digest
}

function* zeros(number: number): Generator<Buffer> {
  const first = Buffer.alloc(chunkBytes)
  first.writeUInt32BE(number)
  const other = Buffer.alloc(chunkBytes)
  for (let at = 0; at < layerBytes; at += chunkBytes) yield at === 0 ? first : other
}

/** Sends a folder as a tar, as it is made. */
async function upload(stack: TestStack, place: string, folder: string): Promise<void> {
  const tar = spawn('tar', ['-C', folder, '-cf', '-', 'oci-layout', 'index.json', 'blobs'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const answer = await fetch(`${stack.url}${place}`, {
    method: 'PATCH',
    headers: { authorization: basic(stack), 'content-type': 'application/octet-stream' },
    body: Readable.toWeb(tar.stdout) as never,
    duplex: 'half',
  } as RequestInit)
  if (answer.status !== 202) throw new Error(`the upload was answered ${answer.status}: ${await answer.text()}`)
}
