import { setTimeout as pause } from 'node:timers/promises'
import type { Target } from '../berth/push.ts'
import { sha256 } from '../berth/sha256.ts'

/** Pushers that share base layers and delete what they pushed some images ago. */
export type Pushing = {
  target: () => Target
  seed: number
  pushes: number
  /** Whether requests may fail because a process is killed; then a push is tried again until it is acknowledged. */
  unreliable: boolean
}
export type Kept = { repository: string; tag: string; digest: string; blobs: string[] }
export type Pushed = {
  acknowledged: number
  /** Manifests that were refused with a status, by status. */
  refused: string[]
  /** Base layers that had been pushed before and had to be pushed again, because they were collected meanwhile. */
  returned: number
  retries: number
  kept: Kept[]
}

const pushers = 8
const keptImages = 3
const repositories = 3
// Base layers take turns, so that all images that have one are deleted before it comes back.
const baseLayers = 16
const basesAtOnce = 4
const imagesPerTurn = 25
const longestPauseMs = 300
const patienceMs = 120_000
const imageType = 'application/vnd.oci.image.manifest.v1+json'

export const soakRepositories = Array.from({ length: repositories }, (_, i) => `soak/r${i}`)

/** Numbers from 0 up to 1 that are the same at each run with the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Pushes all there is to push, eight at a time, and answers what must be there in the end. */
export async function runPushers(pushing: Pushing, signal: AbortSignal): Promise<Pushed> {
  const result: Pushed = { acknowledged: 0, refused: [], returned: 0, retries: 0, kept: [] }
  const seen = new Set<string>()
  let begun = 0
  const work = async (pusher: number) => {
    const random = randomOf(pushing.seed * 1_000 + pusher)
    const own: Kept[] = []
    while (begun < pushing.pushes && !signal.aborted) {
      const number = begun++
      const repository = soakRepositories[Math.floor(random() * repositories)] as string
      const image = { repository, tag: `t${number}`, layers: layersOf(number, random) }
      own.push(await pushUntilDone(pushing, image, { result, seen, random }))
      const oldest = own.length > keptImages ? own.shift() : undefined
      if (oldest) await deleteImage(pushing, oldest, result)
    }
    result.kept.push(...own)
  }
  await Promise.all(Array.from({ length: pushers }, (_, pusher) => work(pusher)))
  return result
}

function layersOf(number: number, random: () => number): Buffer[] {
  const turn = Math.floor(number / imagesPerTurn)
  const bases = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
    const place = (turn * basesAtOnce + Math.floor(random() * basesAtOnce)) % baseLayers
    return Buffer.alloc(4_000 + place, `base layer ${place} `)
  })
  return [...bases, Buffer.from(`own layer of image ${number}`)]
}

type Image = { repository: string; tag: string; layers: Buffer[] }
type Counting = { result: Pushed; seen: Set<string>; random: () => number }

class Refused extends Error {
  readonly status: number
  constructor(what: string, status: number, text: string) {
    super(`${what}: ${status} ${text.slice(0, 300)}`)
    this.status = status
  }
}

async function pushUntilDone(pushing: Pushing, image: Image, counting: Counting): Promise<Kept> {
  for (const deadline = Date.now() + patienceMs; ; ) {
    try {
      const kept = await pushImage(pushing, image, counting)
      counting.result.acknowledged++
      return kept
    } catch (error) {
      const mayHappen = pushing.unreliable && (!(error instanceof Refused) || error.status >= 500)
      if (!mayHappen || Date.now() > deadline) throw error
      counting.result.retries++
      await pause(200)
    }
  }
}

async function pushImage(pushing: Pushing, image: Image, counting: Counting): Promise<Kept> {
  const { repository, tag, layers } = image
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', of: tag }))
  const described = []
  for (const bytes of [config, ...layers]) described.push(await pushBlob(pushing, repository, bytes, counting))
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: imageType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...described[0] },
    layers: described.slice(1).map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer })),
  })
  await pause(counting.random() * longestPauseMs)
  const answer = await ask(pushing, 'PUT', `/v2/${repository}/manifests/${tag}`, manifest, imageType)
  if (answer.status !== 201) {
    const refusal = new Refused(`PUT of the manifest of ${tag}`, answer.status, await answer.text())
    if (refusal.status < 500) counting.result.refused.push(refusal.message)
    throw refusal
  }
  await answer.arrayBuffer()
  return { repository, tag, digest: sha256(manifest), blobs: described.map((blob) => blob.digest) }
}

/** As clients do: asks first, and skips the upload when it is there. */
async function pushBlob(pushing: Pushing, repository: string, bytes: Buffer, { result, seen }: Counting) {
  const digest = sha256(bytes)
  const described = { digest, size: bytes.length }
  const found = await ask(pushing, 'HEAD', `/v2/${repository}/blobs/${digest}`)
  if (found.status === 200) return described
  if (found.status !== 404) throw new Refused(`HEAD of ${digest}`, found.status, '')
  const begun = await ask(pushing, 'POST', `/v2/${repository}/blobs/uploads/`)
  await begun.arrayBuffer()
  if (begun.status !== 202) throw new Refused('POST of an upload', begun.status, '')
  const place = new URL(begun.headers.get('location') ?? '', pushing.target().url)
  place.searchParams.set('digest', digest)
  const ended = await ask(pushing, 'PUT', `${place.pathname}${place.search}`, bytes, 'application/octet-stream')
  if (ended.status !== 201) throw new Refused(`PUT of ${digest}`, ended.status, await ended.text())
  await ended.arrayBuffer()
  if (seen.has(digest)) result.returned++
  seen.add(digest)
  return described
}

async function deleteImage(pushing: Pushing, image: Kept, result: Pushed): Promise<void> {
  for (const deadline = Date.now() + patienceMs; ; ) {
    const status = await ask(pushing, 'DELETE', `/v2/${image.repository}/manifests/${image.digest}`).then(
      async (answer) => (await answer.arrayBuffer(), answer.status),
      (error: unknown) => {
        if (!pushing.unreliable) throw error
        return 503
      },
    )
    // Gone already: a try before this one was carried out and its answer lost.
    if (status === 202 || (status === 404 && pushing.unreliable)) return
    if (status < 500 || !pushing.unreliable || Date.now() > deadline)
      throw new Refused(`DELETE of ${image.tag}`, status, '')
    result.retries++
    await pause(200)
  }
}

async function ask(
  { target }: Pushing,
  method: string,
  path: string,
  body?: string | Buffer,
  type?: string,
): Promise<Response> {
  const { url, authorization = '' } = target()
  const headers = { authorization, accept: imageType, ...(type ? { 'content-type': type } : {}) }
  const signal = AbortSignal.timeout(patienceMs)
  return fetch(new URL(path, url), {
    method,
    headers,
    signal,
    ...(body ? { body: new Uint8Array(Buffer.from(body)) } : {}),
  })
}

/** Pulls everything that must be there and hashes it again. Answers what is missing or wrong. */
export async function findMissing(pushing: Pushing, kept: readonly Kept[]): Promise<string[]> {
  const missing: string[] = []
  const pull = async (path: string, digest: string) => {
    const answer = await ask(pushing, 'GET', path)
    const bytes = new Uint8Array(await answer.arrayBuffer())
    if (answer.status !== 200 || sha256(bytes) !== digest) missing.push(`${path}: ${answer.status}`)
  }
  for (const { repository, tag, digest, blobs } of kept) {
    await pull(`/v2/${repository}/manifests/${tag}`, digest)
    for (const blob of blobs) await pull(`/v2/${repository}/blobs/${blob}`, blob)
  }
  return missing
}
