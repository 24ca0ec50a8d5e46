import type { Readable } from 'node:stream'
import { decompress } from './decompress.ts'
import { type ContextLimits, mostNameBytes, mostPathBytes } from './limits.ts'
import { readTar } from './read-tar.ts'
import { contextRefused } from './refused.ts'
import { padding, type TarHeader, tarEnd, writeHeader } from './tar-header.ts'

/**
 * A context as a plain tar that holds nothing but files, folders and links below one folder. It is written anew from what was
 * checked, so that whoever unpacks it reads the same out of it as we did.
 */
export async function* cleanContext(source: Readable, limits: ContextLimits): AsyncGenerator<Buffer> {
  let bytes = 0
  let files = 0
  let pad: Buffer = Buffer.alloc(0)
  for await (const part of readTar(decompress(source))) {
    if ('bytes' in part) {
      yield part.bytes
      continue
    }
    if (pad.length > 0) yield pad
    const entry = cleanEntry(part.entry)
    files++
    bytes += entry.size
    if (files > limits.files)
      throw contextRefused(`has more than ${limits.files} files`, 'Leave out what the build does not need.')
    if (bytes > limits.bytes)
      throw contextRefused(`unpacks to more than ${limits.bytes} bytes`, 'Leave out what the build does not need.')
    pad = padding(entry.size)
    yield writeHeader(entry)
  }
  if (pad.length > 0) yield pad
  yield tarEnd
}

/** Reads a context to its end. Throws 400 with what is wrong with it. */
export async function checkContext(source: Readable, limits: ContextLimits): Promise<void> {
  for await (const _ of cleanContext(source, limits)) continue
}

const kinds: Readonly<Record<string, string>> = {
  '3': 'a device',
  '4': 'a device',
  '6': 'a named pipe',
  S: 'a sparse file',
}

function cleanEntry(entry: TarHeader): TarHeader {
  const { type } = entry
  if (!'0125'.includes(type))
    throw contextRefused(
      `${shown(entry.name)} is ${kinds[type] ?? `of an unknown kind (${JSON.stringify(type)})`}`,
      'A context has files, folders and links only.',
    )
  const name = cleanPath(entry.name, entry.name)
  if (type !== '0' && entry.size > 0 && type !== '5')
    throw contextRefused(`${shown(entry.name)} is a link with content`, 'Make it by tar.')
  if (type === '5' && entry.size > 0)
    throw contextRefused(`${shown(entry.name)} is a folder with content`, 'Make it by tar.')
  const clean = { ...entry, name: name === '' ? '.' : name, linkName: '' }
  if (type === '5') return { ...clean, name: `${clean.name}/` }
  if (name === '') throw contextRefused(`${shown(entry.name)} has no name`, 'Make it by tar.')
  if (type === '1') return { ...clean, linkName: cleanPath(entry.linkName, entry.name) }
  // A symbolic link may say anything: whoever follows it does so with the context as its root.
  if (type === '2') {
    if (entry.linkName === '' || entry.linkName.includes('\0') || entry.linkName.length > mostPathBytes)
      throw contextRefused(`${shown(entry.name)} is a link to nowhere`, 'Make it by tar.')
    return { ...clean, linkName: entry.linkName }
  }
  return clean
}

/** A path below the context, without `.`; refused when it leaves. */
function cleanPath(path: string, entry: string): string {
  if (path.startsWith('/'))
    throw contextRefused(`${shown(entry)} is an absolute path, or a hard link to one`, 'Make it by tar -C FOLDER .')
  if (path.includes('\0') || path.length > mostPathBytes)
    throw contextRefused(`${shown(entry)} is longer than ${mostPathBytes} bytes, or no path`, 'Shorten it.')
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  if (names.includes('..'))
    throw contextRefused(`${shown(entry)} leaves the context by ..`, 'Make it by tar -C FOLDER .')
  if (names.some((name) => name.length > mostNameBytes))
    throw contextRefused(`${shown(entry)} has a name of more than ${mostNameBytes} bytes`, 'Shorten it.')
  return names.join('/')
}

/** A path as it can be said: its bytes are whatever its sender liked. */
function shown(path: string): string {
  return JSON.stringify(Buffer.from(path.slice(0, 200), 'latin1').toString('utf8'))
}
