import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { readHeader } from '../archives/read-header.ts'
import { blockBytes, paddingBytes } from '../archives/tar.ts'

const unzip = promisify(gunzip)

// Helm itself takes charts of a few megabytes; a bomb is cut here.
const mostUnpackedBytes = 32 << 20
const mostFileBytes = 1 << 20
const wanted = /^(.*\/)?(values|Chart)\.yaml$/

/** What of a chart says which images it runs: by the folder of the chart or of one inside it. */
export type ChartFolder = { values?: string; chart?: string }

/**
 * Finds `values.yaml` and `Chart.yaml` of a packed chart and of those inside it. Nothing of it is written anywhere. Throws for what is no
 * gzip or no tar, or is too large.
 */
export async function unpackChart(bytes: Buffer): Promise<Map<string, ChartFolder>> {
  const tar = await unzip(bytes, { maxOutputLength: mostUnpackedBytes })
  const folders = new Map<string, ChartFolder>()
  for (let at = 0; at + blockBytes <= tar.length; ) {
    const block = tar.subarray(at, at + blockBytes)
    if (block.every((byte) => byte === 0)) break
    const { name, type, sizeBytes } = readHeader(block, 'a chart')
    const [, folder = '', file] = wanted.exec(name) ?? []
    const content = at + blockBytes
    if (type === '0' && file !== undefined && sizeBytes <= mostFileBytes && content + sizeBytes <= tar.length) {
      const text = tar.toString('utf8', content, content + sizeBytes)
      const known = folders.get(folder) ?? {}
      folders.set(folder, file === 'values' ? { ...known, values: text } : { ...known, chart: text })
    }
    at = content + sizeBytes + paddingBytes(sizeBytes)
  }
  return folders
}
