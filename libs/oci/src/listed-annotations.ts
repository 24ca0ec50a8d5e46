/** Most bytes of annotations of one manifest that lists show, as JSON. */
const listedAnnotationsBytes = 64 << 10

/**
 * What lists show of a manifest's annotations: whole entries in byte order of their keys, up to 64 KiB. Clients read an index of
 * referrers only up to 4 MiB (distribution-spec, "Listing Referrers"); the manifest itself has all of them.
 */
export function listedAnnotations(annotations: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(annotations)
  const sizes = new Map(entries.map(([key, value]) => [key, jsonBytes(key) + jsonBytes(value) + 2]))
  let left = listedAnnotationsBytes
  if ([...sizes.values()].reduce((sum, size) => sum + size, 0) <= left) return { ...annotations }
  const inOrder = entries.sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
  const end = inOrder.findIndex(([key]) => {
    left -= sizes.get(key) ?? 0
    return left < 0
  })
  return Object.fromEntries(inOrder.slice(0, end))
}

function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text))
}
