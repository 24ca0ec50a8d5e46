import { mostHeaderBytes } from './limits.ts'
import { contextRefused } from './refused.ts'
import { blockBytes, readHeader, type TarHeader } from './tar-header.ts'

/** An entry of a tar, or bytes of the one that came last. */
export type TarPart = { entry: TarHeader } | { bytes: Buffer }

const remedy = 'Make it by tar: tar -czf context.tar.gz -C FOLDER .'

/** Reads a tar as it comes, holding one chunk of it and the long names of one entry. Throws 400 for what is none. */
export async function* readTar(source: AsyncIterable<Buffer>): AsyncGenerator<TarPart> {
  const bytes = takeFrom(source)
  let isFirst = true
  let extended: Partial<Pick<TarHeader, 'name' | 'linkName' | 'size'>> = {}
  try {
    for (;;) {
      const block = await bytes.exactly(blockBytes)
      if (!block) throw contextRefused(isFirst ? 'is no tar' : 'breaks off', isFirst ? remedy : 'Send it again.')
      if (block.every((byte) => byte === 0)) break
      const header = readHeader(block)
      if (!header) throw contextRefused(isFirst ? 'is no tar' : 'is damaged: a header has a wrong checksum', remedy)
      isFirst = false
      if (!Number.isSafeInteger(header.size)) throw contextRefused('names a file of an impossible size', remedy)
      if ('xgLK'.includes(header.type)) {
        const text = await readLong(bytes, header.size)
        // A global header says nothing of one entry; git archive writes its commit there.
        if (header.type !== 'g') extended = { ...extended, ...readExtended(header.type, text) }
        continue
      }
      const entry = { ...header, ...extended }
      extended = {}
      const isFile = entry.type === '0' && !entry.name.endsWith('/')
      yield { entry: isFile || entry.type !== '0' ? entry : { ...entry, type: '5' } }
      yield* content(bytes, entry.size)
    }
    // What follows the end is nothing to us, but its sender wants to get rid of it.
    for (;;) if (!(await bytes.atMost(1 << 20))) break
  } finally {
    await bytes.end()
  }
}

async function* content(bytes: Source, size: number): AsyncGenerator<TarPart> {
  let left = size
  while (left > 0) {
    const chunk = await bytes.atMost(left)
    if (!chunk) throw contextRefused('breaks off', 'Send it again.')
    left -= chunk.length
    yield { bytes: chunk }
  }
  const padded = (blockBytes - (size % blockBytes)) % blockBytes
  if (padded > 0 && !(await bytes.exactly(padded))) throw contextRefused('breaks off', 'Send it again.')
}

async function readLong(bytes: Source, size: number): Promise<Buffer> {
  if (size > mostHeaderBytes)
    throw contextRefused(
      `has an extended header of more than ${mostHeaderBytes} bytes`,
      'Leave extended attributes out: tar --no-xattrs --no-acls.',
    )
  const text = await bytes.exactly(size + ((blockBytes - (size % blockBytes)) % blockBytes))
  if (!text) throw contextRefused('breaks off', 'Send it again.')
  return text.subarray(0, size)
}

function readExtended(type: string, text: Buffer): Partial<TarHeader> {
  if (type !== 'x') {
    const name = text.toString('latin1').replace(/\0.*$/s, '')
    return type === 'L' ? { name } : { linkName: name }
  }
  const found: Partial<TarHeader> = {}
  for (const [key, value] of records(text)) {
    if (key === 'path') found.name = value
    if (key === 'linkpath') found.linkName = value
    if (key === 'size') found.size = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    if (key.startsWith('GNU.sparse'))
      throw contextRefused('holds a sparse file', 'Write it in full: tar without --sparse.')
  }
  if (found.size !== undefined && !Number.isSafeInteger(found.size))
    throw contextRefused('names a file of an impossible size', remedy)
  return found
}

/** The records of a pax header: `LENGTH KEY=VALUE\n`, the length with itself. */
function* records(text: Buffer): Generator<[string, string]> {
  for (let at = 0; at < text.length; ) {
    const blank = text.indexOf(0x20, at)
    const length = blank < 0 ? Number.NaN : Number(text.toString('latin1', at, blank))
    if (!Number.isInteger(length) || length < 5 || at + length > text.length)
      throw contextRefused('is damaged: an extended header cannot be read', remedy)
    const record = text.toString('latin1', blank + 1, at + length - 1)
    const equals = record.indexOf('=')
    yield [record.slice(0, Math.max(0, equals)), record.slice(equals + 1)]
    at += length
  }
}

type Source = {
  /** So many bytes; `undefined`: there are fewer. */
  exactly(count: number): Promise<Buffer | undefined>
  /** Some bytes, no more than that; `undefined`: there are none. */
  atMost(count: number): Promise<Buffer | undefined>
  end(): Promise<void>
}

function takeFrom(source: AsyncIterable<Buffer>): Source {
  const chunks = source[Symbol.asyncIterator]()
  let held: Buffer = Buffer.alloc(0)
  const atMost = async (count: number) => {
    while (held.length === 0) {
      const next = await chunks.next()
      if (next.done) return undefined
      held = next.value
    }
    const taken = held.subarray(0, count)
    held = held.subarray(count)
    return taken
  }
  return {
    atMost,
    exactly: async (count) => {
      const parts: Buffer[] = []
      for (let left = count; left > 0; ) {
        const part = await atMost(left)
        if (!part) return undefined
        parts.push(part)
        left -= part.length
      }
      return parts.length === 1 ? parts[0] : Buffer.concat(parts)
    },
    end: async () => void (await chunks.return?.()),
  }
}
