import { promisify } from 'node:util'
import { deflateRaw, gzip } from 'node:zlib'

const compress = promisify(gzip)
const tryOut = promisify(deflateRaw)

/** Each is a member of the gzip file by itself, so that several are compressed at once. Their size is part of what a layer's digest is. */
const memberBytes = 2 << 20
/** Layers get as small as those of buildah and skopeo; the usual level takes half as long again for two hundredths less. */
const level = 4
/** Of what is compressed already, as archives, media and models are, all time at this level goes for nothing: such a member is stored. */
const storedFrom = 0.97
/** Parts of a member that are tried: long enough to see what comes again within the 32 KiB that gzip looks back. */
const tried = { parts: 4, bytes: 32 << 10 }
/** What comes back at once: by the usual 16 KiB a thread waits for the event loop some forty times a member. Stored bytes are cut by it. */
const chunkSize = 256 << 10
/** The threads that compress are those that read and write files for everybody. */
const membersAtOnce = 3

/** Compresses bytes: the members of a gzip file one after another, some of them ahead. */
export async function* gzipMembers(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const ahead: Promise<Buffer>[] = []
  try {
    for await (const block of blocksOf(source)) {
      const member = compressMember(block)
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

async function compressMember(block: Buffer): Promise<Buffer> {
  return compress(block, { level: (await isDense(block)) ? 0 : level, chunkSize })
}

/** Whether bytes get no smaller, as far as a few parts of them tell. */
async function isDense(block: Buffer): Promise<boolean> {
  const { parts, bytes } = tried
  // Trying less than this out would cost what it saves.
  if (block.length < 4 * parts * bytes) return false
  const apart = Math.floor((block.length - bytes) / (parts - 1))
  const sample = Buffer.concat(Array.from({ length: parts }, (_, at) => block.subarray(at * apart, at * apart + bytes)))
  return (await tryOut(sample, { level: 1, chunkSize })).length > sample.length * storedFrom
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
