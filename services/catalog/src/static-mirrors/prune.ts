import { asDigest, type Digest, parseDigest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { type Selected, stillBlobs, stillManifests, stillSubjects, stillTags } from './contents.ts'
import {
  apiFolder,
  blobsFolder,
  manifestsFolder,
  ownFolders,
  referrersFolder,
  repositoryFolder,
  tagListName,
  tagsFolder,
  withoutEnding,
} from './file-names.ts'
import type { MirrorFolder } from './mirror-folder.ts'

const batchNames = 500
const algorithms = ['sha256', 'sha512']

/** Removes what is not in the selection: first names, then what they stood for, so that nobody finds a name of what is gone. */
export async function prune(
  sql: Sql,
  folder: MirrorFolder,
  selected: readonly Selected[],
  signal: AbortSignal,
): Promise<void> {
  const names = new Set(selected.map(({ name }) => name))
  await pruneRepositories(folder, '', names, signal)
  for (const repository of selected) await pruneRepository(sql, folder, repository, signal)
  for (const algorithm of algorithms)
    await sweep(folder, `${blobsFolder}/${algorithm}`, signal, async (found) => {
      const digests = found.flatMap((name) => digestOf(algorithm, name) ?? [])
      const wanted = await stillBlobs(sql, selected, digests)
      return (name) => wanted.has(`${algorithm}:${name}`)
    })
}

/** Removes repositories that are not selected; those that lie below one that is, too. */
async function pruneRepositories(
  folder: MirrorFolder,
  above: string,
  names: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted()
  const at = above === '' ? apiFolder : repositoryFolder(above)
  const isSelected = names.has(above)
  for await (const { name, isFolder } of folder.list(at)) {
    const isOwn = isFolder ? ownFolders.includes(name) : name === tagListName
    if (isOwn && isSelected) continue
    if (!isFolder) await folder.remove(`${at}/${name}`)
    else if (isOwn) await folder.removeFolder(`${at}/${name}`)
    else await pruneRepositories(folder, above === '' ? name : `${above}/${name}`, names, signal)
  }
  if (above !== '' && !isSelected) await folder.removeEmpty(at)
}

async function pruneRepository(sql: Sql, folder: MirrorFolder, selected: Selected, signal: AbortSignal): Promise<void> {
  const at = repositoryFolder(selected.name)
  await sweep(folder, `${at}/${tagsFolder}`, signal, async (found) => {
    const wanted = await stillTags(
      sql,
      selected,
      found.flatMap((name) => withoutEnding(name)?.stem ?? []),
    )
    return (name) => {
      const tag = withoutEnding(name)
      return tag !== undefined && wanted.has(`${tag.stem} ${tag.mediaType}`)
    }
  })
  for (const algorithm of algorithms) {
    await sweep(folder, `${at}/${referrersFolder}/${algorithm}`, signal, async (found) => {
      const subjectOf = (name: string) => digestOf(algorithm, name.replace(/\.json$/, ''))
      const wanted = await stillSubjects(
        sql,
        selected,
        found.flatMap((name) => subjectOf(name) ?? []),
      )
      return (name) => wanted.has(subjectOf(name) ?? '')
    })
    await sweep(folder, `${at}/${manifestsFolder}/${algorithm}`, signal, async (found) => {
      const manifestOf = (name: string) => {
        const file = withoutEnding(name)
        const digest = file && digestOf(algorithm, file.stem)
        return digest && { digest, mediaType: file.mediaType }
      }
      const wanted = await stillManifests(
        sql,
        selected,
        found.flatMap((name) => manifestOf(name) ?? []),
      )
      return (name) => {
        const manifest = manifestOf(name)
        return manifest !== undefined && wanted.has(`${manifest.digest} ${manifest.mediaType}`)
      }
    })
  }
}

type Judge = (found: readonly string[]) => Promise<(name: string) => boolean>

/** Removes from a folder what is not wanted, some hundred names at a time. */
async function sweep(folder: MirrorFolder, at: string, signal: AbortSignal, judge: Judge): Promise<void> {
  let batch: string[] = []
  const judgeBatch = async () => {
    signal.throwIfAborted()
    const isWanted = await judge(batch)
    for (const name of batch) if (!isWanted(name)) await folder.remove(`${at}/${name}`)
    batch = []
  }
  for await (const { name } of folder.list(at)) if (batch.push(name) === batchNames) await judgeBatch()
  if (batch.length > 0) await judgeBatch()
}

function digestOf(algorithm: string, hex: string): Digest | undefined {
  const text = `${algorithm}:${hex}`
  return parseDigest(text) ? asDigest(text) : undefined
}
