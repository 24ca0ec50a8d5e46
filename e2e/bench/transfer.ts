import { statSync } from 'node:fs'
import path from 'node:path'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { newImage, Pusher } from './content.ts'
import { forgetPeak, memoryOf } from './memory.ts'
import { runCommand, settleDisk } from './run-command.ts'
import { callApi, openApi, type Subject } from './subjects.ts'
import { waitForEnd } from './sync-rows.ts'
import { median } from './table.ts'

const repository = 'bench/carried'
const layers = 8
const layerBytes = 128 << 20
const goal = 1.5

type Run = { name: string; bytes: number; seconds: number }

/** Exports an image of 1 GiB into an archive of a directory and as a download, beside `skopeo copy` into an archive. */
export async function measureTransfer(berth: Subject, runs: number): Promise<string> {
  const pusher = new Pusher(berth, repository)
  await pusher.login()
  await pusher.pushImage(newImage(layers, layerBytes), '1')
  pusher.close()
  const folder = makeTemporaryFolder('bench-transfer')
  const seen: Run[] = []
  forgetPeak(berth.pid)
  try {
    for (let run = 0; run < runs; run++) {
      await settleDisk()
      seen.push(await byBerth(berth, { kind: 'directory', path: `bench-${run}.tar` }, 'into a directory'))
      await settleDisk()
      seen.push(await byBerth(berth, { kind: 'download' }, 'to be downloaded', path.join(folder, 'download.tar')))
      await settleDisk()
      seen.push(await bySkopeo(berth, path.join(folder, `skopeo-${run}.tar`)))
      process.stderr.write(`measured: exports, run ${run + 1}\n`)
    }
  } finally {
    removeFolder(folder)
  }
  const speed = (name: string) =>
    median(seen.filter((run) => run.name === name).map(({ bytes, seconds }) => bytes / seconds / 1e6))
  const skopeo = speed('skopeo')
  const rows = ['into a directory', 'to be downloaded, and the download'].map((name) => {
    const ratio = speed(name) / skopeo
    return `| Berth, ${name} | ${speed(name).toFixed(0)} | ${ratio.toFixed(2)}× (≥ ${goal}×${ratio >= goal ? '' : ', missed'}) |`
  })
  return [
    '| export of an image of 1 GiB | MB/s | to skopeo (goal) |',
    '| --- | --- | --- |',
    ...rows,
    `| \`skopeo copy\` into an \`oci-archive\` | ${skopeo.toFixed(0)} | |`,
    '',
    `Berth had ${memoryOf(berth.pid, 'VmHWM').toFixed(0)} MiB resident at most, all of its services together.`,
  ].join('\n')
}

/** From the request to the end of the task, and of a download to its last byte on the disk. */
async function byBerth(berth: Subject, to: object, name: string, file?: string): Promise<Run> {
  const startedAt = performance.now()
  const { id } = await callApi<{ id: string }>(berth, 'POST', '/exports', { repositories: [{ name: repository }], to })
  const { exportId, archiveBytes: bytes } = (await waitForEnd(berth, id)) as unknown as {
    exportId: string
    archiveBytes: number
  }
  if (file !== undefined) {
    const url = `${berth.url}/api/v1/exports/${exportId}/download`
    await runCommand('curl', ['-sf', '-u', berth.credentials ?? '', '-o', file, url])
    await settleDisk()
    await openApi(berth, 'DELETE', `/exports/${exportId}`)
  }
  const seconds = (performance.now() - startedAt) / 1000
  return { name: file === undefined ? name : `${name}, and the download`, bytes, seconds }
}

async function bySkopeo(berth: Subject, file: string): Promise<Run> {
  const from = ['--src-tls-verify=false', '--src-creds', berth.credentials ?? '']
  const copy = ['--insecure-policy', 'copy', '--quiet', ...from, `docker://${berth.host}/${repository}:1`]
  const startedAt = performance.now()
  await runCommand('skopeo', [...copy, `oci-archive:${file}:${repository}:1`])
  await settleDisk()
  return { name: 'skopeo', bytes: statSync(file).size, seconds: (performance.now() - startedAt) / 1000 }
}
