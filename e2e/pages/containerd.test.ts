import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { type Containerd, containerdMissing, startContainerd } from '../clients/containerd.ts'
import { missingPrograms } from '../servers/programs.ts'
import { borrowUpstreams, type Upstreams, upstreamName, upstreamPrograms } from '../servers/upstreams.ts'
import { readTour, screenOf, typeAll } from './tour.ts'

const page = new URL('../../docs/how-to/containerd.md', import.meta.url)
const steps = readTour(page)
const missing = missingPrograms(...upstreamPrograms, 'curl')
const why = missing.length > 0 ? `${missing.join(', ')} missing` : containerdMissing()
const describePage = why ? describe.skip : describe

/** A block of the page by its name. */
function block(name: string): string {
  const found = new RegExp(`^\`\`\`toml ${name}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(readFileSync(page, 'utf8'))?.[1]
  if (!found) throw new Error(`the page has no block ${name}`)
  return found
}

describePage(`the page about containerd${why ? ` (skipped: ${why})` : ''}`, () => {
  const stack = withBerth()
  let upstreams: Upstreams
  let containerd: Containerd

  beforeAll(async () => {
    ;[upstreams, containerd] = await Promise.all([borrowUpstreams(), startContainerd()])
  }, 120_000)
  afterAll(async () => {
    await containerd?.stop()
  }, 60_000)

  /** The upstream on this machine stands for docker.io; all else is typed as it is written. */
  const here = (text: string) =>
    text
      .replace('"url": "https://docker.io"', `"url": "${upstreams.open.url}", "allowPrivateAddresses": true`)
      .replaceAll('https://registry-1.docker.io', upstreams.open.url)
      .replaceAll('https://berth.example.com', stack.url)
      .replaceAll('docker.io', upstreams.open.host)
      .replaceAll('/etc/containerd/certs.d', containerd.hostsFolder)
      .replaceAll('library/alpine', upstreamName)
      .replaceAll('3.22', 'small')
      .replace('ctr images pull', `ctr --address ${containerd.address} images pull --snapshotter native`)

  /** Puts the file of the page where the page says. */
  const place = (name: string) => {
    // containerd writes the colon of a port like this in a folder's name.
    const folder = path.join(containerd.hostsFolder, upstreams.open.host.replace(/:(\d+)$/, '_$1_'))
    mkdirSync(folder, { recursive: true })
    writeFileSync(path.join(folder, 'hosts.toml'), here(block(name)))
  }

  test('works as it is written, and what it says to look at shows that Berth was asked', async () => {
    expect(steps.length).toBe(8)
    place('hosts')
    const setUp = `export BERTH=${stack.url} LOGIN='${stack.user}:${stack.password}'`
    const commands = steps.map(({ command }) => here(command))
    const outputs = await typeAll(commands, { cwd: containerd.hostsFolder, setUp })
    const screens = steps.map((step) => screenOf({ ...step, output: step.output.map(here) }))
    for (const [i, screen] of screens.entries()) expect(outputs[i]).toMatch(screen)
  }, 60_000)

  test('with the login that it says, what only users may have fetched comes through Berth', async () => {
    place('hosts-with-login')
    const reference = `${upstreams.open.host}/${upstreamName}:multi`
    await containerd.ctr([
      'images',
      'pull',
      '--hosts-dir',
      containerd.hostsFolder,
      '--snapshotter',
      'native',
      reference,
    ])
    const { body } = await stack.api('GET', `/repositories/${encodeURIComponent(`hub/${upstreamName}`)}/tags?q=multi`)
    expect(body.items).toEqual([expect.objectContaining({ name: 'multi' })])
  }, 60_000)
})
