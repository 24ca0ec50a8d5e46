import type { Rights } from '@berth/access'
import { asDigest, type Digest, parseTagPattern } from '@berth/oci'
import { badField, type RequestOf, type Transaction } from '@berth/service'
import type { Edit } from '../intervals/edit.ts'
import { removeAll } from '../intervals/edit.ts'
import type { operations } from '../openapi-types.ts'
import type { Curation } from './curate.ts'
import { putAllIn, putIn } from './put-in.ts'
import {
  findSource,
  findSourcesOf,
  manifestsOf,
  missingContent,
  type Source,
  type SourceName,
  tagsOf,
} from './source.ts'
import { takeOut } from './take-out.ts'

export type ModifyBody = RequestOf<operations['modifyRepository']>['body']
export type CopyBody = RequestOf<operations['copyIntoRepository']>['body']
/** The work of a request, to be carried out or planned. */
export type Work = (sql: Transaction, edit: Edit) => Promise<void>

/**
 * Takes out first and puts in then, all as one change; what is named by its digest alone comes from where `rights` let it be pulled. Throws 400 for entries that say too much or too little.
 */
export function modifyWork(
  body: ModifyBody,
  rights: Rights,
): { work: Work; cause: Curation['cause']; foldsFirst: boolean } {
  const { add = [], remove = [] } = body
  const everything = remove.includes('*')
  if (everything && remove.length > 1) throw badField('remove', '"*" stands for everything and must be alone')
  for (const [i, entry] of add.entries()) checkEntry(`add[${i}]`, entry)
  for (const [i, entry] of remove.entries()) if (entry !== '*') checkEntry(`remove[${i}]`, entry)
  for (const [i, entry] of add.entries())
    if (entry.tag !== undefined && !(entry.from ?? body.from))
      throw badField(
        `add[${i}].from`,
        'is missing',
        'Say which repository has the tag, here or in "from" of the request.',
      )
  const unwanted = remove.filter((entry) => entry !== '*')
  const work: Work = async (sql, edit) => {
    if (everything) await removeAll(sql, edit)
    else if (unwanted.length > 0)
      await takeOut(
        sql,
        edit,
        {
          manifests: unwanted.flatMap(({ digest }) => (digest === undefined ? [] : asDigest(digest))),
          tags: unwanted.flatMap(({ tag }) => tag ?? []),
        },
        { force: body.force ?? false },
      )
    await addEntries(sql, edit, body, rights)
  }
  return { work, cause: add.length === 0 && remove.length > 0 ? 'remove' : 'modify', foldsFirst: everything }
}

function checkEntry(field: string, entry: { digest?: string; tag?: string }): void {
  if ((entry.digest === undefined) === (entry.tag === undefined))
    throw badField(field, 'needs a digest or a tag, and not both')
}

type Group = { source: Source; manifests: Digest[]; tags: string[] }

/** Groups what comes in by where it comes from, so that each source is gone through once. */
async function addEntries(sql: Transaction, edit: Edit, body: ModifyBody, rights: Rights): Promise<void> {
  const groups = new Map<string, Group>()
  const groupOf = (source: Source) => {
    const key = `${source.repositoryId}@${source.bound}`
    const group = groups.get(key) ?? { source, manifests: [], tags: [] }
    groups.set(key, group)
    return group
  }
  const named = new Map<string, Source>()
  const sourceOf = async (name: SourceName, field: string) => {
    const key = `${name.repository} ${name.version ?? ''}`
    const source = named.get(key) ?? (await findSource(sql, name, field))
    named.set(key, source)
    return source
  }
  const anywhere: Digest[] = []
  for (const [i, { digest, tag, from }] of (body.add ?? []).entries()) {
    const name = from ?? body.from
    if (name) {
      const group = groupOf(await sourceOf(name, from ? `add[${i}].from` : 'from'))
      if (digest) group.manifests.push(asDigest(digest))
      if (tag !== undefined) group.tags.push(tag)
    } else if (digest) anywhere.push(asDigest(digest))
  }
  for (const [digest, source] of await findSourcesOf(sql, edit.repositoryId, anywhere, rights))
    groupOf(source).manifests.push(digest)
  for (const group of groups.values()) await addGroup(sql, edit, group, body.companions ?? true)
}

async function addGroup(
  sql: Transaction,
  edit: Edit,
  { source, manifests, tags }: Group,
  companions: boolean,
): Promise<void> {
  const known = new Set(manifests.length > 0 ? await manifestsOf(sql, source, { digests: manifests }) : [])
  const found = tags.length > 0 ? await tagsOf(sql, source, tags) : []
  const names = new Set(found.map((tag) => tag.name))
  const missing = [...manifests.filter((digest) => !known.has(digest)), ...tags.filter((tag) => !names.has(tag))]
  if (missing.length > 0) throw missingContent(missing, source.name)
  await putIn(sql, edit, source, { manifests, tags: found }, { companions })
}

/**
 * Copies tags by name or pattern, and manifests by digest, by media type or by both. Without any filter all is copied; an empty
 * list selects nothing.
 */
export function copyWork(body: CopyBody): Work {
  const patterns = (body.tags ?? []).map((text, i) => readPattern(text, `tags[${i}]`))
  const { mediaTypes } = body
  const digests = body.digests?.map(asDigest)
  return async (sql, edit) => {
    const source = await findSource(sql, body.from, 'from')
    if (!body.tags && !digests && !mediaTypes) {
      const [tags, manifests] = [await tagsOf(sql, source), await manifestsOf(sql, source)]
      return putAllIn(sql, edit, source, { tags, manifests })
    }
    const exact = patterns.every((pattern) => pattern.isExact)
    const all = patterns.length > 0 ? await tagsOf(sql, source, exact ? body.tags : undefined) : []
    const tags = all.filter(({ name }) => patterns.some((pattern) => pattern.matches(name)))
    const manifests = digests || mediaTypes ? await manifestsOf(sql, source, { digests, mediaTypes }) : []
    const names = new Set(tags.map((tag) => tag.name))
    const known = new Set(mediaTypes && digests ? await manifestsOf(sql, source, { digests }) : manifests)
    const missing = [
      ...patterns.filter(({ isExact, text }) => isExact && !names.has(text)).map(({ text }) => text),
      ...(digests ?? []).filter((digest) => !known.has(digest)),
    ]
    if (missing.length > 0) throw missingContent(missing, source.name)
    return putIn(sql, edit, source, { tags, manifests }, { companions: body.companions ?? true })
  }
}

function readPattern(text: string, field: string) {
  try {
    return parseTagPattern(text)
  } catch (error) {
    throw badField(field, (error as Error).message)
  }
}
