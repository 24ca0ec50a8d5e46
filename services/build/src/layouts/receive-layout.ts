import { createHash } from 'node:crypto'
import { mkdir, open, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { readTar } from '../context/read-tar.ts'
import type { Descriptor } from './read-base.ts'

const blobName = /^(?:\.\/)?blobs\/sha256\/([0-9a-f]{64})$/
const indexName = /^(?:\.\/)?(?:\d{1,2}\/)?index\.json$/
const indexBytes = 1 << 20

/**
 * Writes the blobs of OCI layouts that come as a tar out of a sandbox, whose word counts for nothing: each blob has the digest that it
 * is named by, and there are no more bytes than were allowed. Links stand for blobs that are had elsewhere. Answers what each layout
 * says it holds, in the order of their folders.
 */
export async function receiveLayouts(
  source: Readable,
  folder: string,
  limitBytes: number,
): Promise<{ bytes: number; images: Descriptor[] }> {
  await mkdir(path.join(folder, 'blobs', 'sha256'), { recursive: true })
  await writeFile(path.join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  const indexes = new Map<string, Buffer[]>()
  let bytes = 0
  let writing: Writing | undefined
  try {
    for await (const part of readTar(source)) {
      if ('bytes' in part) {
        bytes += part.bytes.length
        if (bytes > limitBytes) throw new Error(`the result has more than ${limitBytes} bytes`)
        await writing?.write(part.bytes)
        continue
      }
      await writing?.end()
      const { name, type, size } = part.entry
      const hex = blobName.exec(name)?.[1]
      writing = undefined
      if (type === '0' && hex) writing = await startBlob(path.join(folder, 'blobs', 'sha256', hex), hex)
      else if (type === '0' && indexName.test(name) && size <= indexBytes) writing = keepIn(indexes, name)
    }
    await writing?.end()
    writing = undefined
  } finally {
    await writing?.close()
  }
  const names = [...indexes.keys()].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  return { bytes, images: names.map((name) => imageOf(Buffer.concat(indexes.get(name) ?? []))) }
}

function imageOf(index: Buffer): Descriptor {
  const { manifests } = JSON.parse(index.toString('utf8')) as { manifests?: Descriptor[] }
  const [image, ...more] = manifests ?? []
  if (!image || more.length > 0) throw new Error('the layout of the result does not hold one image')
  const { mediaType, digest, size } = image
  return { mediaType, digest, size }
}

type Writing = { write(chunk: Buffer): Promise<void>; end(): Promise<void>; close(): Promise<void> }

function keepIn(indexes: Map<string, Buffer[]>, name: string): Writing {
  const chunks: Buffer[] = []
  indexes.set(name, chunks)
  return {
    write: async (chunk) => void chunks.push(Buffer.from(chunk)),
    end: async () => {},
    close: async () => {},
  }
}

async function startBlob(file: string, sha256: string): Promise<Writing> {
  // Never over a file that is there: a name that comes twice is no layout.
  const handle = await open(file, 'wx', 0o644)
  const hash = createHash('sha256')
  return {
    write: async (chunk) => {
      hash.update(chunk)
      for (let at = 0; at < chunk.length; ) at += (await handle.write(chunk, at)).bytesWritten
    },
    end: async () => {
      await handle.close()
      if (hash.digest('hex') !== sha256) throw new Error(`a blob of the result is not sha256:${sha256}`)
    },
    close: () => handle.close(),
  }
}
