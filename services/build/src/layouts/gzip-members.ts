import { promisify } from 'node:util'
import { gzip } from 'node:zlib'

const compress = promisify(gzip)

/** Each is a member of the gzip file by itself, so that several are compressed at once. Their size is part of what a layer's digest is. */
const memberBytes = 2 << 20
/** Layers get as small as those of buildah and skopeo; the usual level takes half as long again for two hundredths less. */
const level = 4
/** The threads that compress are those that read and write files for everybody. */
const membersAtOnce = 3

/** Compresses bytes: the members of a gzip file one after another, some of them ahead. */
export async function* gzipMembers(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const ahead: Promise<Buffer>[] = []
  try {
    for await (const block of blocksOf(source)) {
      const member = compress(block, { level })
      // Its failure is seen when its turn comes.
      member.catch(() => undefined)
      ahead.push(member)
      if (ahead.length === membersAtOnce) yield await (ahead.shift() as Promise<Buffer>)
    }
    for (const member of ahead) yield await member
  } finally {
    await Promise.allSettled(ahead)
  }
}

async function* blocksOf(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + memberBytes - bytes)
      chunks.push(part)
      bytes += part.length
      at += part.length
      if (bytes < memberBytes) continue
      yield Buffer.concat(chunks)
      chunks = []
      bytes = 0
    }
  }
  if (bytes > 0) yield Buffer.concat(chunks)
}
