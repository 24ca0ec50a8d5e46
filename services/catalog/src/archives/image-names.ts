import { isRepositoryName, isTag } from '@berth/oci'
import { BadArchive } from './bad-archive.ts'

/** What an image of another tool's archive is called here, before it is mapped. */
export type ImageName = { repository: string; tag: string }

/** The repository of images that their archive gives no name; `map` says where they go. */
const unnamed = 'unnamed'

/** Reads a reference, a tag alone, or nothing. A host is left out: `docker.io/library/alpine:3` is `library/alpine` with the tag `3`. */
export function readImageName(text: string | undefined, place: string): ImageName {
  if (text === undefined || text === '') return { repository: unnamed, tag: 'latest' }
  if (isTag(text)) return { repository: unnamed, tag: text }
  const [, path = '', tag = 'latest'] = /^(.*?)(?::([^:/@]*))?(?:@.*)?$/.exec(text) ?? []
  const [host = '', ...rest] = path.split('/')
  const isHost = rest.length > 0 && (/[.:]/.test(host) || host === 'localhost')
  const repository = isHost ? rest.join('/') : path
  if (!isRepositoryName(repository) || !isTag(tag))
    throw new BadArchive(place, `has ${JSON.stringify(text.slice(0, 200))}, which is no name of an image`)
  return { repository, tag }
}
