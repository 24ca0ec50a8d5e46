import { beforeAll, expect, test } from '@jest/globals'
import { pushBlob, pushManifest, pushRandomImage, type Target } from '../berth/push.ts'
import { basic, getManifest, make, repositoryPath, sha256 } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const imageType = 'application/vnd.oci.image.manifest.v1+json'
const emptyType = 'application/vnd.oci.empty.v1+json'
const repository = 'large/annotations'
// PostgreSQL takes 256 MB in one array of JSON; these are more, and any two of them more than a page.
const referrers = 72
const annotationBytes = 3_900_000
const pageLimit = (4 << 20) + 100_000
const stack = withBerth({ own: true })
let berth: Target
let subject: string
const texts = new Map<string, string>()

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
  await make(stack, '/repositories', { name: repository })
  await make(stack, '/distributions', { name: repository, basePath: repository, repository, access: 'public' })
  const image = await pushRandomImage(berth, repository, 'latest')
  subject = image.digest
  const config = { mediaType: emptyType, ...(await pushBlob(berth, repository, Buffer.from('{}'))) }
  for (let index = 0; index < referrers; index++) {
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: imageType,
      artifactType: 'application/vnd.example.report',
      config,
      layers: [],
      subject: { mediaType: imageType, digest: image.digest, size: image.text.length },
      annotations: { b: 'x'.repeat(annotationBytes), a: `${index}`, aa: 'y'.repeat(60_000), c: 'last' },
    })
    texts.set(sha256(text), text)
    await pushManifest(berth, repository, sha256(text), text, imageType)
  }
}, 180_000)

/** All pages of a list by their Link headers, each measured. */
async function referrerPages() {
  const found: { digest: string; annotations: Record<string, string> }[] = []
  for (let url: string | undefined = `${stack.url}/v2/${repository}/referrers/${subject}`; url; ) {
    const answer: Response = await fetch(url)
    const text = await answer.text()
    expect(text.length).toBeLessThan(pageLimit)
    found.push(...JSON.parse(text).manifests)
    const next = /<([^>]+)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1]
    url = next && new URL(next, stack.url).href
  }
  return found
}

test('referrers come in pages of at most 4 MiB, with whole annotations in byte order of their keys', async () => {
  const found = await referrerPages()
  expect(new Set(found.map(({ digest }) => digest))).toEqual(new Set(texts.keys()))
  for (const { annotations } of found) expect(Object.keys(annotations).sort()).toEqual(['a', 'aa'])
})

test('the manifest itself keeps every byte', async () => {
  const [digest, text] = [...texts][0] as [string, string]
  const got = await getManifest(`${stack.url}/v2/${repository}/manifests/${digest}`)
  expect(got.text === text).toBe(true)
})

test('a list of content is cut into pages of at most 4 MiB', async () => {
  await stack.api('PUT', `${repositoryPath(repository)}/tags/second`, { digest: subject })
  const { body } = await stack.api('GET', repositoryPath(repository))
  const found: string[] = []
  for (let cursor = ''; ; ) {
    const path = `${repositoryPath(repository)}/versions/${body.latestVersion}/content?type=manifest&limit=1000${cursor}`
    const page = (await stack.api('GET', path)).body
    expect(JSON.stringify(page).length).toBeLessThan(pageLimit)
    found.push(...page.items.map((item: { digest: string }) => item.digest))
    if (page.next === null) break
    cursor = `&cursor=${page.next}`
  }
  expect(found.length).toBe(referrers + 1)
})

test('the registry learns all of it anew, also after a restart', async () => {
  expect((await stack.api('POST', `${repositoryPath(repository)}/rebuild`)).status).toBe(204)
  expect((await referrerPages()).length).toBe(referrers)
  await stack.restart()
  expect((await fetch(`${stack.url}/readyz`)).status).toBe(200)
  expect((await referrerPages()).length).toBe(referrers)
}, 60_000)
