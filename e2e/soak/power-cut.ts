import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { basic } from '../berth/basic.ts'
import { until } from '../berth/processes.ts'
import { pushBlob, pushManifest, send, startUpload, type Target } from '../berth/push.ts'
import { sha256 } from '../berth/sha256.ts'
import type { TestStack } from '../berth/stack.ts'
import { randomOf } from './pushers.ts'

export type PowerCutReport = {
  rounds: number
  images: number
  /** Files that were removed, emptied, cut or overwritten after a kill. */
  damaged: number
  /** What was acknowledged and is not served right. */
  wrong: string[]
}

type Image = { tag: string; digest: string; blobs: string[] }
type Pusher = {
  repository: string
  acknowledged: Image[]
  /** What the tag `latest` may stand for: what was acknowledged last, and what may have been moved to when all was killed. */
  latest: string[]
}

const imageType = 'application/vnd.oci.image.manifest.v1+json'
const smallBytes = 128 << 10
const width = 4

/**
 * Kills Berth with its PostgreSQL and NATS in the middle of pushes, again and again, and does to the files of small blobs that are not
 * flushed what a power cut may do. Looks each time whether everything that was acknowledged is served right, and no old tag is. The
 * last start may have other settings.
 */
export async function cutPower(
  stack: TestStack,
  { seed, rounds, lastStart = {} }: { seed: number; rounds: number; lastStart?: NodeJS.ProcessEnv },
): Promise<PowerCutReport> {
  const random = randomOf(seed)
  const pushers = Array.from(
    { length: width },
    (_, i): Pusher => ({ repository: `cut/r${i}`, acknowledged: [], latest: [] }),
  )
  const report: PowerCutReport = { rounds, images: 0, damaged: 0, wrong: [] }
  for (let round = 0; round < rounds; round++) {
    const before = pushers.map(({ acknowledged }) => acknowledged.length)
    const wanted = countOf(pushers) + 8 + random() * 16
    const over = new AbortController()
    const pushing = Promise.all(pushers.map((pusher) => pushUntil(stack, pusher, random, over.signal)))
    pushing.catch(() => 'told when it is awaited')
    await Promise.race([until('images are pushed', () => countOf(pushers) >= wanted, 60_000), pushing])
    // Anywhere in what comes next.
    await pause(random() * 100)
    over.abort()
    await stack.killGroup()
    await pushing
    report.damaged += damageUnflushed(path.join(stack.home, 'blobs'), random)
    await stack.restart(round === rounds - 1 ? lastStart : {})
    for (const [at, pusher] of pushers.entries()) report.wrong.push(...(await findWrong(stack, pusher, before[at])))
  }
  for (const pusher of pushers) report.wrong.push(...(await findWrong(stack, pusher)))
  report.images = countOf(pushers)
  return report
}

const countOf = (pushers: readonly Pusher[]) => pushers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
const targetOf = (stack: TestStack): Target => ({ url: stack.url, authorization: basic(stack) })

/** Pushes images, each under a tag of its own and under `latest`, until Berth is gone. */
async function pushUntil(stack: TestStack, pusher: Pusher, random: () => number, over: AbortSignal): Promise<void> {
  const target = targetOf(stack)
  const { repository, acknowledged } = pusher
  try {
    for (;;) {
      const tag = `t${acknowledged.length}`
      const sizes = [1 + random() * 3_000, random() * smallBytes, ...(random() < 0.1 ? [2 * smallBytes] : [])]
      const layers = []
      for (const size of sizes) layers.push(await pushOneWay(target, repository, randomBytes(size), random() < 0.5))
      const config = await pushBlob(target, repository, Buffer.from(JSON.stringify({ of: `${repository}:${tag}` })))
      const text = JSON.stringify({
        schemaVersion: 2,
        mediaType: imageType,
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
        layers: layers.map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer })),
      })
      const digest = sha256(text)
      await pushManifest(target, repository, tag, text, imageType)
      acknowledged.push({ tag, digest, blobs: [config, ...layers].map((blob) => blob.digest) })
      pusher.latest.push(digest)
      await pushManifest(target, repository, 'latest', text, imageType)
      pusher.latest = [digest]
    }
  } catch (error) {
    if (!over.aborted) throw error
  }
}

/** Pushes a blob as one body, or in a chunk before the end as skopeo does. */
async function pushOneWay(target: Target, repository: string, bytes: Buffer, isChunked: boolean) {
  if (!isChunked) return pushBlob(target, repository, bytes)
  const headers = { 'content-type': 'application/octet-stream' }
  const upload = await startUpload(target, repository)
  const chunk = await send(target, 'PATCH', upload, 202, { body: new Uint8Array(bytes), headers })
  const end = new URL(chunk.headers.get('location') ?? upload, target.url)
  const digest = sha256(bytes)
  end.searchParams.set('digest', digest)
  await send(target, 'PUT', end.href, 201)
  return { digest, size: bytes.length }
}

/**
 * What a power cut may do to files that were not flushed, which are those that a journal has: they are gone, empty, short or of zeros. And
 * to the append that was under way: it is torn. Answers how many files it has damaged.
 */
export function damageUnflushed(blobs: string, random: () => number): number {
  const staging = path.join(blobs, 'staging')
  const logs = readdirSync(staging).filter((name) => name.startsWith('journal.'))
  let damaged = 0
  for (const log of logs.map((name) => path.join(staging, name))) {
    let end = 0
    // Read as it is documented, and not by the code that wrote it.
    const heads = readFileSync(log, 'latin1').matchAll(
      /[0-9a-f]{8} (\d+) (blobs\/sha256\/[0-9a-f]{2}\/[0-9a-f]{64}\.\d+)\n/g,
    )
    for (const { 0: head, 1: size, 2: place = '', index } of heads) {
      end = index + head.length + Number(size)
      const file = path.join(blobs, place)
      if (random() < 0.2 || !existsSync(file)) continue
      const ways = [
        () => unlinkSync(file),
        () => truncateSync(file),
        () => truncateSync(file, Math.floor(Number(size) / 2)),
        () => writeFileSync(file, Buffer.alloc(Number(size))),
      ]
      ways[Math.floor(random() * ways.length)]?.()
      damaged += 1
    }
    const bytes = readFileSync(log)
    const torn = bytes.subarray(0, 100 + random() * 100)
    writeFileSync(log, Buffer.concat([bytes.subarray(0, end), torn, bytes.subarray(end + torn.length)]))
  }
  return damaged
}

/** What a pusher has heard a 201 for, from an image on, and is not served as it was pushed. */
async function findWrong(stack: TestStack, { repository, acknowledged, latest }: Pusher, from = 0): Promise<string[]> {
  const wrong: string[] = []
  const check = async (place: string, allowed: readonly string[]) => {
    const headers = { authorization: basic(stack), accept: imageType }
    const answer = await fetch(`${stack.url}/v2/${repository}/${place}`, { headers })
    const digest = sha256(Buffer.from(await answer.arrayBuffer()))
    if (answer.status !== 200 || !allowed.includes(digest))
      wrong.push(`${repository} ${place}: ${answer.status} ${digest}`)
  }
  for (const { tag, digest, blobs } of acknowledged.slice(from)) {
    await check(`manifests/${tag}`, [digest])
    await check(`manifests/${digest}`, [digest])
    for (const blob of blobs) await check(`blobs/${blob}`, [blob])
  }
  if (acknowledged.length > 0) await check('manifests/latest', latest)
  return wrong
}
