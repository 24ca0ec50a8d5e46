import { randomBytes } from 'node:crypto'
import { findProgram } from '../servers/programs.ts'
import { blobOf, newImage, Pusher } from './content.ts'
import { runCommand, settleDisk } from './run-command.ts'
import { callApi, openApi, type Subject, startPeer } from './subjects.ts'

type Times = { first: number; again: number }
/**
 * Seconds that each copier took in each run: the first time, and again with nothing new. `cold`: those of the very first sync that
 * Berth's process did.
 */
export type SyncTimes = { cold: number; byCopier: Map<string, Times[]> }

const tagCount = 500
/** Requests at once that Berth's remote allows: its upstream is on the same machine, and serves nothing else. */
const concurrency = 32

/**
 * Copies 500 tags that share layers out of an upstream that holds nothing else: by Berth's sync, by `crane cp -a` and by
 * `skopeo sync` into a registry of their own. Each is measured the first time and again, with nothing changed; so often, with
 * other tags each time. Berth and the upstream are servers that go on running: the very first sync, which warms both up, is
 * told by itself.
 */
export async function measureSync(berth: Subject, runs: number): Promise<SyncTimes> {
  const upstream = await startPeer(process.env.BERTH_TEST_DISTRIBUTION ? 'dist. 3' : '2.8')
  try {
    return await measureRuns(berth, upstream, runs)
  } finally {
    await upstream.stop()
  }
}

async function measureRuns(berth: Subject, upstream: Subject, runs: number): Promise<SyncTimes> {
  const all = new Map<string, Times[]>()
  const cold = await byBerth(berth, upstream, await filled(upstream, 'bench/source-cold'))
  for (let run = 0; run < runs; run++) {
    const times = await copyByAll(berth, upstream, `bench/source-${run}`)
    for (const [name, taken] of Object.entries(times)) all.set(name, [...(all.get(name) ?? []), taken])
    process.stderr.write(`measured: sync of ${tagCount} tags, run ${run + 1}\n`)
  }
  return { cold: cold.first, byCopier: all }
}

async function copyByAll(berth: Subject, upstream: Subject, repository: string): Promise<Record<string, Times>> {
  await filled(upstream, repository)
  const times: Record<string, Times> = { berth: await byBerth(berth, upstream, repository) }
  const crane = process.env.BERTH_TEST_CRANE
  if (crane)
    times.crane = await intoPeer((target) =>
      runCommand(crane, ['cp', '-a', '--insecure', `${upstream.host}/${repository}`, `${target.host}/${repository}`]),
    )
  if (findProgram('skopeo')) {
    times.skopeo = await intoPeer((target) =>
      runCommand('skopeo', [
        'sync',
        '--src',
        'docker',
        '--dest',
        'docker',
        '--src-tls-verify=false',
        '--dest-tls-verify=false',
        `${upstream.host}/${repository}`,
        `${target.host}/bench`,
      ]),
    )
  }
  return times
}

async function filled(upstream: Subject, repository: string): Promise<string> {
  const pusher = new Pusher(upstream, repository)
  const shared = Array.from({ length: 3 }, () => blobOf(randomBytes(64 << 10)))
  for (let i = 0; i < tagCount; i++) await pusher.pushImage(newImage(5, 4_096, shared), `v${i}`)
  pusher.close()
  await settleDisk()
  return repository
}

async function byBerth(berth: Subject, upstream: Subject, repository: string): Promise<Times> {
  await makeServed(berth, repository)
  await callApi(berth, 'POST', '/remotes', {
    name: repository,
    url: upstream.url,
    upstreamName: repository,
    allowPrivateAddresses: true,
    concurrency,
  })
  const sync = async () => {
    const startedAt = performance.now()
    const task = await callApi<{ id: string }>(berth, 'POST', '/syncs', { repository, remote: repository })
    await waitForEnd(berth, task.id)
    return (performance.now() - startedAt) / 1000
  }
  return { first: await sync(), again: await sync() }
}

/** Makes a repository that is served under its own name: a task that fills it ends when the registry serves what came. */
export async function makeServed(berth: Subject, name: string): Promise<void> {
  await callApi(berth, 'POST', '/repositories', { name })
  await callApi(berth, 'POST', '/distributions', { name: name.replace('/', '-'), basePath: name, repository: name })
}

type Task = { state: string; result: { created: boolean; tagsChecked: number }; error: { message: string } | null }

/** Has a task run to its end; hears of it as clients do, by the events of the task. Throws when it fails. */
export async function waitForEnd(berth: Subject, id: string): Promise<Task['result']> {
  const events = await openApi(berth, 'GET', `/tasks/${id}/events`)
  const last = (await events.text()).trimEnd().split('\ndata: ').at(-1) ?? ''
  const task = JSON.parse(last) as Task
  if (task.state === 'completed') return task.result
  throw new Error(`the sync ${task.state}: ${task.error?.message}`)
}

async function intoPeer(copy: (target: Subject) => Promise<{ seconds: number }>): Promise<Times> {
  const target = await startPeer('2.8')
  await settleDisk()
  try {
    return { first: (await copy(target)).seconds, again: (await copy(target)).seconds }
  } finally {
    await target.stop()
  }
}
