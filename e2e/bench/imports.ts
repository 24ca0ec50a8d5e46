import path from 'node:path'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { newImage, Pusher } from './content.ts'
import { forgetPeak, memoryOf } from './memory.ts'
import { runCommand, settleDisk } from './run-command.ts'
import { callApi, type Subject, startBerth } from './subjects.ts'
import { waitForEnd } from './sync-rows.ts'
import { median } from './table.ts'

const layers = 8
const layerBytes = 64 << 20
const goal = 1.5

type Speeds = { berth: number[]; skopeo: number[] }

/** Imports images of 512 MiB from archives into a Berth that has none of them, beside `skopeo copy` from an archive into the same one. */
export async function measureImports(runs: number): Promise<string> {
  const transfer = makeTemporaryFolder('bench-imports')
  const [from, to] = await Promise.all([
    startBerth({ BERTH_TRANSFER_DIR: transfer }),
    startBerth({ BERTH_TRANSFER_DIR: transfer }),
  ])
  try {
    const speeds: Speeds = { berth: [], skopeo: [] }
    forgetPeak(to.pid)
    for (let run = 0; run < runs; run++) {
      // Each its own image: what one has brought, the other would find.
      const own = await carryOut(from, `bench/own-${run}`)
      const theirs = await carryOut(from, `bench/theirs-${run}`)
      speeds.berth.push(await importOf(to, own))
      speeds.skopeo.push(await copyOf(to, path.join(transfer, theirs.path), theirs))
      process.stderr.write(`measured: imports, run ${run + 1}\n`)
    }
    const [berth, skopeo] = [median(speeds.berth), median(speeds.skopeo)]
    const ratio = berth / skopeo
    return [
      '| import of an image of 512 MiB | MB/s | to skopeo (goal) |',
      '| --- | --- | --- |',
      `| Berth, from a directory | ${berth.toFixed(0)} | ${ratio.toFixed(2)}× (≥ ${goal}×${ratio >= goal ? '' : ', missed'}) |`,
      `| \`skopeo copy\` from an \`oci-archive\` | ${skopeo.toFixed(0)} | |`,
      '',
      `The importing Berth had ${memoryOf(to.pid, 'VmHWM').toFixed(0)} MiB resident at most, all of its services together.`,
    ].join('\n')
  } finally {
    await Promise.all([from.stop(), to.stop()])
    removeFolder(transfer)
  }
}

type Carried = { repository: string; path: string; bytes: number }

async function carryOut(berth: Subject, repository: string): Promise<Carried> {
  const pusher = new Pusher(berth, repository)
  await pusher.login()
  await pusher.pushImage(newImage(layers, layerBytes), '1')
  pusher.close()
  const file = `${repository.replace('/', '-')}.tar`
  const to = { kind: 'directory', path: file }
  const { id } = await callApi<{ id: string }>(berth, 'POST', '/exports', { repositories: [{ name: repository }], to })
  const { archiveBytes: bytes } = (await waitForEnd(berth, id)) as unknown as { archiveBytes: number }
  await settleDisk()
  return { repository, path: file, bytes }
}

/** MB/s from the request to the end of the task: then it is served, and on the disk. */
async function importOf(berth: Subject, { path: file, bytes }: Carried): Promise<number> {
  const startedAt = performance.now()
  const body = { from: { kind: 'directory', path: file }, apply: {} }
  const { id } = await callApi<{ id: string }>(berth, 'POST', '/imports', body)
  await waitForEnd(berth, id)
  return bytes / (performance.now() - startedAt) / 1_000
}

async function copyOf(berth: Subject, file: string, { repository, bytes }: Carried): Promise<number> {
  const to = ['--dest-tls-verify=false', '--dest-creds', berth.credentials ?? '']
  const copy = ['--insecure-policy', 'copy', '--quiet', ...to, `oci-archive:${file}:${repository}:1`]
  const startedAt = performance.now()
  await runCommand('skopeo', [...copy, `docker://${berth.host}/${repository}:1`])
  return bytes / (performance.now() - startedAt) / 1_000
}
