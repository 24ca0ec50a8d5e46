import { createHash } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { readTar } from '../context/read-tar.ts'
import type { Descriptor } from './read-base.ts'

const blobName = /^(?:\.\/)?blobs\/sha256\/([0-9a-f]{64})$/
const indexBytes = 1 << 20

/** A layout that came: what it says that it holds, and its image where that is one. */
export type Received = { index: string; image: Descriptor | undefined }

/**
 * Writes the blobs of OCI layouts that come as a tar out of a sandbox, whose word counts for nothing: each blob has the digest that it
 * is named by, and there are no more bytes than were allowed. Each layout is a folder of the tar, and goes where `into` says; links
 * stand for blobs that are had elsewhere.
 */
export async function receiveLayouts(
  source: Readable,
  into: Readonly<Record<string, string>>,
  limitBytes: number,
): Promise<Map<string, Received>> {
  for (const folder of Object.values(into)) await mkdir(path.join(folder, 'blobs', 'sha256'), { recursive: true })
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
      writing = undefined
      const { name, type, size } = part.entry
      const slash = name.indexOf('/')
      const layout = name.slice(0, slash)
      const inside = name.slice(slash + 1)
      const folder = Object.hasOwn(into, layout) ? into[layout] : undefined
      const hex = blobName.exec(inside)?.[1]
      if (type !== '0' || folder === undefined) continue
      if (hex) writing = await startBlob(path.join(folder, 'blobs', 'sha256', hex), hex)
      else if (inside === 'index.json' && size <= indexBytes) writing = keepIn(indexes, layout)
    }
    await writing?.end()
    writing = undefined
  } finally {
    await writing?.close()
  }
  return new Map(
    [...indexes].map(([layout, chunks]) => {
      const index = Buffer.concat(chunks).toString('utf8')
      return [layout, { index, image: imageOf(index) }]
    }),
  )
}

function imageOf(index: string): Descriptor | undefined {
  const { manifests } = JSON.parse(index) as { manifests?: Descriptor[] }
  const [image, ...more] = manifests ?? []
  if (!image || more.length > 0) return undefined
  const { mediaType, digest, size } = image
  return { mediaType, digest, size }
}

type Writing = { write(chunk: Buffer): Promise<void>; end(): Promise<void>; close(): Promise<void> }

function keepIn(indexes: Map<string, Buffer[]>, layout: string): Writing {
  const chunks: Buffer[] = []
  indexes.set(layout, chunks)
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
