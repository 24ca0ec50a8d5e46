import { algorithmOf, asDigest, type Digest, type DigestAlgorithm, hexOf } from '@berth/oci'

/** Where a blob lies in an archive. */
export type Place = { offset: number; sizeBytes: number }

const digestBytes: Record<DigestAlgorithm, number> = { sha256: 32, sha512: 64 }
const placeBytes = 16
const firstRecords = 1_024

/**
 * Where the blobs of an archive lie. A million of them take some 50 MB: each is a record of its digest, its offset and its size in one
 * buffer, sorted once all are there.
 */
export function createBlobPlaces() {
  const tables = { sha256: createTable(digestBytes.sha256), sha512: createTable(digestBytes.sha512) }
  const tableOf = (digest: Digest) => tables[algorithmOf(digest)]
  const keyOf = (digest: Digest) => Buffer.from(hexOf(digest), 'hex')
  return {
    add: (digest: Digest, place: Place) => tableOf(digest).add(keyOf(digest), place),
    /** Has what was added be found. Answers a digest that was added twice, if there is one. */
    settle(): Digest | undefined {
      for (const [algorithm, table] of Object.entries(tables)) {
        const twice = table.settle()
        if (twice) return asDigest(`${algorithm}:${twice.toString('hex')}`)
      }
      return undefined
    },
    find: (digest: Digest): Place | undefined => tableOf(digest).find(keyOf(digest)),
    /** Notes that somebody wants it; `false`: it is not there. */
    mark: (digest: Digest): boolean => tableOf(digest).mark(keyOf(digest)),
    /** Which one it is of all of them, from 0 on. */
    numberOf(digest: Digest): number | undefined {
      const number = tableOf(digest).numberOf(keyOf(digest))
      if (number === undefined) return undefined
      return algorithmOf(digest) === 'sha256' ? number : tables.sha256.count + number
    },
    /** One that nobody wants. */
    unmarked(): Digest | undefined {
      for (const [algorithm, table] of Object.entries(tables)) {
        const key = table.unmarked()
        if (key) return asDigest(`${algorithm}:${key.toString('hex')}`)
      }
      return undefined
    },
    /** Whether they came in the order of their digests. */
    get wereInOrder() {
      return tables.sha256.wereInOrder && tables.sha512.wereInOrder
    },
    /** The one that lies before all others, where they came in their order. */
    get first(): Place | undefined {
      return tables.sha256.first() ?? tables.sha512.first()
    },
    get count() {
      return tables.sha256.count + tables.sha512.count
    },
    get bytes() {
      return tables.sha256.bytes + tables.sha512.bytes
    },
  }
}
export type BlobPlaces = ReturnType<typeof createBlobPlaces>

function createTable(keyBytes: number) {
  const recordBytes = keyBytes + placeBytes
  let records = Buffer.alloc(0)
  let marks = new Uint8Array(0)
  let count = 0
  let bytes = 0
  let isSorted = true
  let wereInOrder = true
  const keyAt = (number: number) => records.subarray(number * recordBytes, number * recordBytes + keyBytes)
  const indexOf = (key: Buffer): number => {
    let [low, high] = [0, count - 1]
    while (low <= high) {
      const middle = (low + high) >>> 1
      const order = keyAt(middle).compare(key)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return -1
  }
  const placeAt = (number: number): Place => {
    const at = number * recordBytes + keyBytes
    return { offset: records.readDoubleLE(at), sizeBytes: records.readDoubleLE(at + 8) }
  }
  return {
    add(key: Buffer, { offset, sizeBytes }: Place) {
      if ((count + 1) * recordBytes > records.length) {
        const larger = Buffer.alloc(Math.max(firstRecords * recordBytes, 2 * records.length))
        records.copy(larger)
        records = larger
      }
      if (count > 0 && keyAt(count - 1).compare(key) >= 0) isSorted = wereInOrder = false
      const at = count * recordBytes
      key.copy(records, at)
      records.writeDoubleLE(offset, at + keyBytes)
      records.writeDoubleLE(sizeBytes, at + keyBytes + 8)
      count++
      bytes += sizeBytes
    },
    settle(): Buffer | undefined {
      if (!isSorted) {
        const order = Uint32Array.from({ length: count }, (_none, number) => number)
        order.sort((a, b) => keyAt(a).compare(keyAt(b)))
        const sorted = Buffer.alloc(count * recordBytes)
        for (const [to, from] of order.entries())
          records.copy(sorted, to * recordBytes, from * recordBytes, (from + 1) * recordBytes)
        records = sorted
        isSorted = true
      }
      marks = new Uint8Array(count)
      for (let number = 1; number < count; number++)
        if (keyAt(number - 1).equals(keyAt(number))) return Buffer.from(keyAt(number))
      return undefined
    },
    find(key: Buffer): Place | undefined {
      const number = indexOf(key)
      return number < 0 ? undefined : placeAt(number)
    },
    numberOf(key: Buffer): number | undefined {
      const number = indexOf(key)
      return number < 0 ? undefined : number
    },
    first: () => (count === 0 ? undefined : placeAt(0)),
    mark(key: Buffer): boolean {
      const number = indexOf(key)
      if (number < 0) return false
      marks[number] = 1
      return true
    },
    unmarked(): Buffer | undefined {
      const number = marks.indexOf(0)
      return number < 0 ? undefined : Buffer.from(keyAt(number))
    },
    get wereInOrder() {
      return wereInOrder
    },
    get count() {
      return count
    },
    get bytes() {
      return bytes
    },
  }
}
