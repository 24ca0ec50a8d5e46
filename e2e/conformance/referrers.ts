import { randomBytes } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { newManifest } from './manifests.ts'
import { describe, digestOf, indexType, manifestType, type Wire } from './wire.ts'

/** Subjects and referrers, tags by parameter, and other things of specification 1.1 and later. */
export function referrerTests(wire: () => Wire, repository: string): void {
  const referrers = (digest: string, query = '') => wire().send('GET', `/v2/${repository}/referrers/${digest}${query}`)
  const attach = async (subject: object, artifactType: string, tag?: string) => {
    const manifest = await newManifest(wire(), repository, {
      artifactType,
      subject,
      annotations: { 'org.example.of': artifactType },
    })
    return wire().pushManifest(repository, manifest, tag)
  }

  test('empty/referrers', async () => {
    const reply = await referrers(digestOf(randomBytes(8)))
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': indexType } })
    expect(JSON.parse(reply.body.toString())).toEqual({ schemaVersion: 2, mediaType: indexType, manifests: [] })
    const unused = await wire().send('GET', `/v2/${repository}-unused/referrers/${digestOf(randomBytes(8))}`)
    expect(unused.status).toBe(200)
  })

  test('artifacts-with-subject: tagged or not, filtered by type, gone when deleted', async () => {
    const image = await wire().pushManifest(repository, await newManifest(wire(), repository), 'subject')
    const subject = describe(image.bytes, manifestType)
    const first = await attach(subject, 'application/vnd.example.sbom', 'sbom')
    expect(first.reply.headers['oci-subject']).toBe(image.digest)
    const second = await attach(subject, 'application/vnd.example.signature')
    const all = JSON.parse((await referrers(image.digest)).body.toString()) as { manifests: { digest: string }[] }
    expect(all.manifests.map(({ digest }) => digest).sort()).toEqual([first.digest, second.digest].sort())
    const filtered = await referrers(image.digest, '?artifactType=application/vnd.example.sbom')
    expect(filtered.headers['oci-filters-applied']).toBe('artifactType')
    expect(JSON.parse(filtered.body.toString()).manifests).toEqual([
      {
        ...describe(first.bytes, manifestType),
        artifactType: 'application/vnd.example.sbom',
        annotations: { 'org.example.of': 'application/vnd.example.sbom' },
      },
    ])
    expect((await wire().send('DELETE', `/v2/${repository}/manifests/${second.digest}`)).status).toBe(202)
    expect(JSON.parse((await referrers(image.digest)).body.toString()).manifests).toHaveLength(1)
  })

  test('missing-subject: a referrer may come before its subject', async () => {
    const subject = describe(randomBytes(64), manifestType)
    const { digest, reply } = await attach(subject, 'application/vnd.example.early')
    expect(reply).toMatchObject({ status: 201, headers: { 'oci-subject': subject.digest } })
    expect(JSON.parse((await referrers(subject.digest)).body.toString()).manifests).toMatchObject([{ digest }])
  })

  test('index-with-subject', async () => {
    const subject = describe(randomBytes(64), manifestType)
    const index = {
      schemaVersion: 2,
      mediaType: indexType,
      manifests: [],
      subject,
      artifactType: 'application/vnd.example.list',
    }
    const { digest, reply } = await wire().pushManifest(repository, index, undefined, indexType)
    expect(reply.headers['oci-subject']).toBe(subject.digest)
    expect(JSON.parse((await referrers(subject.digest)).body.toString()).manifests).toMatchObject([
      { digest, artifactType: 'application/vnd.example.list' },
    ])
  })

  test('what an old client keeps under the fallback tag is listed, and the tag is a tag like any other', async () => {
    const image = await wire().pushManifest(repository, await newManifest(wire(), repository), 'of-old')
    const subject = describe(image.bytes, manifestType)
    const sbom = await attach(subject, 'application/vnd.example.sbom')
    const unrelated = await wire().pushManifest(repository, await newManifest(wire(), repository))
    const tag = image.digest.replace(':', '-')
    const index = {
      schemaVersion: 2,
      mediaType: indexType,
      manifests: [
        { ...describe(sbom.bytes, manifestType), artifactType: 'application/vnd.example.sbom' },
        // Named by the list, but by its own words it refers to nothing.
        { ...describe(unrelated.bytes, manifestType), artifactType: 'application/vnd.example.claimed' },
      ],
    }
    const list = await wire().pushManifest(repository, index, tag, indexType)
    expect(list.reply.status).toBe(201)
    const { manifests } = JSON.parse((await referrers(image.digest)).body.toString())
    expect(manifests).toMatchObject([{ digest: sbom.digest, artifactType: 'application/vnd.example.sbom' }])
    const got = await wire().send('GET', `/v2/${repository}/manifests/${tag}`)
    expect(got).toMatchObject({ status: 200, headers: { 'docker-content-digest': list.digest } })
    const tags = await wire().send('GET', `/v2/${repository}/tags/list`)
    expect(JSON.parse(tags.body.toString()).tags).toContain(tag)
    expect((await wire().send('DELETE', `/v2/${repository}/manifests/${tag}`)).status).toBe(202)
    expect((await wire().send('HEAD', `/v2/${repository}/manifests/${tag}`)).status).toBe(404)
    expect(JSON.parse((await referrers(image.digest)).body.toString()).manifests).toHaveLength(1)
  })

  test('a list that has not changed is 304 to who has it, and whole again after any change', async () => {
    const image = await wire().pushManifest(repository, await newManifest(wire(), repository), 'unchanged')
    const lists = [`/v2/${repository}/tags/list`, `/v2/${repository}/referrers/${image.digest}`]
    const ask = (path: string, etag: string) => wire().send('GET', path, { headers: { 'if-none-match': etag } })
    const etags = await Promise.all(lists.map(async (path) => (await wire().send('GET', path)).headers.etag ?? ''))
    for (const [i, path] of lists.entries()) {
      expect(await ask(path, `"other", ${etags[i]}`)).toMatchObject({ status: 304, headers: { etag: etags[i] } })
      expect((await ask(path, '"other"')).status).toBe(200)
    }
    const added = await attach(describe(image.bytes, manifestType), 'application/vnd.example.late', 'late')
    const [tags, referring] = await Promise.all(lists.map((path, i) => ask(path, etags[i] ?? '')))
    expect(JSON.parse(String(tags?.body)).tags).toContain('late')
    expect(JSON.parse(String(referring?.body)).manifests).toMatchObject([{ digest: added.digest }])
  })

  test('a malformed digest is 400', async () => {
    expect((await referrers('sha256:nothing')).status).toBe(400)
  })

  test.each(['sha256', 'sha512'] as const)('tag-param-%s', async (algorithm) => {
    const bytes = Buffer.from(JSON.stringify(await newManifest(wire(), repository)))
    const digest = digestOf(bytes, algorithm)
    const reply = await wire().send(
      'PUT',
      `/v2/${repository}/manifests/${digest}?tag=p-${algorithm}-1&tag=p-${algorithm}-2`,
      { headers: { 'content-type': manifestType }, body: bytes },
    )
    expect(reply).toMatchObject({
      status: 201,
      headers: { 'oci-tag': `p-${algorithm}-1, p-${algorithm}-2`, 'docker-content-digest': digest },
    })
    for (const reference of [digest, `p-${algorithm}-1`, `p-${algorithm}-2`]) {
      const got = await wire().send('GET', `/v2/${repository}/manifests/${reference}`)
      expect(got).toMatchObject({ status: 200, headers: { 'docker-content-digest': digest } })
      expect(got.body.equals(bytes)).toBe(true)
    }
  })
}
