/*
 * How an archive is written as a tar: ustar (POSIX.1-1988), and before a member that does not fit into it a pax header (POSIX.1-2001).
 * Nothing in it depends on when, where or by whom it is written.
 */
export const blockBytes = 512

/** The two empty blocks that end a tar. */
export const tarEnd = Buffer.alloc(2 * blockBytes)

/** What is larger needs a pax header. */
export const mostUstarBytes = 0o77777777777
const mostNameBytes = 100

/** What stands before the bytes of a member: one block, or three where its size or name needs a pax header. */
export function memberHeader(name: string, sizeBytes: number): Buffer {
  const isLong = Buffer.byteLength(name) > mostNameBytes
  const isLarge = sizeBytes > mostUstarBytes
  if (!isLong && !isLarge) return header(name, sizeBytes, '0')
  const records = Buffer.from(
    [...(isLong ? [paxRecord('path', name)] : []), ...(isLarge ? [paxRecord('size', String(sizeBytes))] : [])].join(''),
  )
  return Buffer.concat([
    header('pax-header', records.length, 'x'),
    records,
    Buffer.alloc(paddingBytes(records.length)),
    header(isLong ? name.slice(-mostNameBytes) : name, isLarge ? 0 : sizeBytes, '0'),
  ])
}

/** How many bytes `memberHeader` has, without making it. */
export function headerBytes(name: string, sizeBytes: number): number {
  const isPlain = sizeBytes <= mostUstarBytes && Buffer.byteLength(name) <= mostNameBytes
  return isPlain ? blockBytes : memberHeader(name, sizeBytes).length
}

/** How many zeros follow the bytes of a member. */
export function paddingBytes(sizeBytes: number): number {
  return (blockBytes - (sizeBytes % blockBytes)) % blockBytes
}

/** How many bytes a member takes with its header and what follows it. */
export function memberBytes(name: string, sizeBytes: number): number {
  return headerBytes(name, sizeBytes) + sizeBytes + paddingBytes(sizeBytes)
}

/** `LENGTH KEY=VALUE\n`; the length counts its own digits too. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + String(rest).length
  while (String(length).length + rest !== length) length = String(length).length + rest
  return `${length} ${key}=${value}\n`
}

function header(name: string, sizeBytes: number, type: '0' | 'x'): Buffer {
  const block = Buffer.alloc(blockBytes)
  block.write(name, 0, mostNameBytes)
  block.write('0000644\0', 100)
  block.write('0000000\0', 108)
  block.write('0000000\0', 116)
  block.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124)
  block.write('00000000000\0', 136)
  block.write(' '.repeat(8), 148)
  block.write(type, 156)
  block.write('ustar\x0000', 257)
  block.write('0000000\0', 329)
  block.write('0000000\0', 337)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
