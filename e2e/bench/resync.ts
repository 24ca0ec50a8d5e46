import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { startDistribution, startDockerRegistry, type Upstream } from '../servers/upstream.ts'
import { type Blob, blobOf, newImage } from './content.ts'
import { forgetPeak, memoryOf } from './memory.ts'
import type { Subject } from './subjects.ts'
import { callApi } from './subjects.ts'
import { makeServed, waitForEnd } from './sync-rows.ts'

const tagCount = Number(process.env.BERTH_BENCH_TAGS ?? 10_000)
const repository = 'bench/many-tags'
const [smallestLayer, largestLayer] = [4_096, 65_536]
const goal = 1 / 20

/** Syncs 10,000 tags, each with a configuration and a layer of its own, and syncs them again with nothing changed. */
export async function measureResync(berth: Subject): Promise<string> {
  const start = process.env.BERTH_TEST_DISTRIBUTION ? startDistribution : startDockerRegistry
  const upstream = await start({ remembersBlobs: true })
  try {
    await fill(upstream.store)
    process.stderr.write(`filled: ${tagCount} tags\n`)
    await makeServed(berth, repository)
    const remote = { name: 'many-tags', url: upstream.url, upstreamName: repository, concurrency: 32 }
    await callApi(berth, 'POST', '/remotes', { ...remote, allowPrivateAddresses: true })
    const before = memoryOf(berth.pid, 'VmRSS')
    const [first, again] = [await measure(berth, upstream), await measure(berth, upstream)]
    if (again.created) throw new Error('a sync with nothing new made a version')
    const ratio = again.seconds / first.seconds
    const count = tagCount.toLocaleString('en-US')
    const row = (name: string, run: Measured, shown: string) =>
      `| ${name} | ${run.seconds.toFixed(2)} | ${shown} | ${run.lists} | ${run.heads} | ${run.gets} | ${run.peak.toFixed(0)} |`
    return [
      `| sync of ${count} tags, ${before.toFixed(0)} MiB before | s | of the first (goal) | pages of the list | HEADs | GETs | memory at most, MiB |`,
      '| --- | --- | --- | --- | --- | --- | --- |',
      row('first', first, ''),
      row('again', again, `1/${(1 / ratio).toFixed(1)} (≤ 1/20${ratio <= goal ? '' : ', missed'})`),
    ].join('\n')
  } finally {
    await upstream.stop()
  }
}

type Measured = { seconds: number; created: boolean; lists: number; heads: number; gets: number; peak: number }

async function measure(berth: Subject, upstream: Upstream): Promise<Measured> {
  forgetPeak(berth.pid)
  const seen = upstream.log().length
  const startedAt = performance.now()
  const { id } = await callApi<{ id: string }>(berth, 'POST', '/syncs', { repository, remote: 'many-tags' })
  const { created } = await waitForEnd(berth, id)
  const seconds = (performance.now() - startedAt) / 1000
  const asked = upstream.log().slice(seen)
  // Its access log is in the format of Apache.
  const count = (what: RegExp) => asked.match(what)?.length ?? 0
  const lists = count(/"GET \/v2\/\S+\/tags\/list/g)
  const gets = count(/"GET \/v2\//g) - lists
  const heads = count(/"HEAD \/v2\//g)
  return { seconds, created, lists, heads, gets, peak: memoryOf(berth.pid, 'VmHWM') }
}

/** Puts images straight into the storage of a registry that is of the make of distribution: quicker than by pushes. */
async function fill(store: string): Promise<void> {
  const root = path.join(store, 'docker/registry/v2')
  const home = path.join(root, 'repositories', repository)
  const write = (folder: string, file: string, content: string | Buffer) => {
    mkdirSync(folder, { recursive: true })
    writeFileSync(path.join(folder, file), content)
  }
  const hexOf = ({ digest }: Blob) => digest.slice('sha256:'.length)
  const put = (blob: Blob, links: string) => {
    const hex = hexOf(blob)
    write(path.join(root, 'blobs/sha256', hex.slice(0, 2), hex), 'data', blob.bytes)
    write(path.join(home, links, 'sha256', hex), 'link', blob.digest)
  }
  const base = blobOf(randomBytes(1 << 20))
  put(base, '_layers')
  for (let i = 0; i < tagCount; i++) {
    // Or a connection that the server closes meanwhile would be taken for a good one.
    if (i % 100 === 0) await setImmediate()
    // As many between 4 and 8 KiB as between 32 and 64.
    const layerBytes = Math.round(smallestLayer * (largestLayer / smallestLayer) ** Math.random())
    const { config, layers, manifest } = newImage(2, layerBytes, [base])
    for (const blob of [config, ...layers.slice(1)]) put(blob, '_layers')
    put(manifest, '_manifests/revisions')
    write(path.join(home, '_manifests/tags', `v${i}`, 'current'), 'link', manifest.digest)
  }
}
