import { newImage, Pusher } from './content.ts'
import { tagName, tagsPerRequest } from './fill.ts'
import { callApi, type Subject } from './subjects.ts'

const allTags = 100_000
const movedTags = 1_000
const pagesRead = 50

type Step = { work: string; milliseconds: number; goalMs: number | undefined }

/** What is done with versions of a repository of very many tags, each in one call, while it is being pulled from. */
export async function measureVersions(berth: Subject, repository: string): Promise<string> {
  const path = `/repositories/${encodeURIComponent(repository)}`
  const latest = async () => (await callApi<{ latestVersion: number }>(berth, 'GET', path)).latestVersion
  const rollBack = (version: number) => callApi(berth, 'POST', `${path}/rollback`, { version })
  const pulls = startPulls(berth, repository)
  const steps: Step[] = []
  const step = async (work: string, goalMs: number, run: () => Promise<unknown>) => {
    const startedAt = performance.now()
    await run()
    steps.push({ work, milliseconds: performance.now() - startedAt, goalMs })
  }
  const full = await latest()
  await moveTags(berth, repository, movedTags)
  const moved = await latest()
  await step('promote a version', 50, () =>
    callApi(berth, 'PATCH', `/distributions/${encodeURIComponent(repository)}`, { version: full }),
  )
  await callApi(berth, 'PATCH', `/distributions/${encodeURIComponent(repository)}`, { version: null })
  await step('compare two versions', 1_000, () => callApi(berth, 'GET', `${path}/versions/${full}/diff?to=${moved}`))
  steps.push({
    work: `a page of a version in the API (median of ${pagesRead} all over it)`,
    milliseconds: await medianPage(berth, `${path}/versions/${full}/content?type=tag&limit=100`),
    goalMs: 20,
  })
  await step(`roll back ${movedTags.toLocaleString('en-US')} tags`, 1_000, () => rollBack(full))
  await callApi(berth, 'POST', `${path}/modify`, { remove: ['*'] })
  await step('roll back all tags, which were removed', 3_000, () => rollBack(full))
  await moveTags(berth, repository, allTags)
  const other = await digestOf(berth, repository)
  await step('roll back all tags, which were moved', 3_000, () => rollBack(full))
  if ((await digestOf(berth, repository)) === other) throw new Error('what was moved is served after the rollback')
  // It finds a repository whose intervals are still being written, and waits for them.
  steps.push({ work: 'a push right after it', milliseconds: await timePush(berth, repository), goalMs: undefined })
  const slowest = await pulls.stop()
  return [
    '| a repository of 100,000 tags | ms | goal |',
    '| --- | --- | --- |',
    ...steps.map(
      ({ work, milliseconds, goalMs }) => `| ${work} | ${milliseconds.toFixed(0)} | ${verdict(milliseconds, goalMs)} |`,
    ),
    `| slowest of the pulls from another repository meanwhile | ${slowest.toFixed(0)} | |`,
  ].join('\n')
}

function verdict(milliseconds: number, goalMs: number | undefined): string {
  if (goalMs === undefined) return ''
  return `≤ ${goalMs.toLocaleString('en-US')}${milliseconds <= goalMs ? '' : ', missed'}`
}

/** What a tag in the middle is pulled as. */
async function digestOf(berth: Subject, repository: string): Promise<string | null> {
  const headers = { ...(await berth.authorization(repository)), accept: 'application/vnd.oci.image.manifest.v1+json' }
  const answer = await fetch(`${berth.url}/v2/${repository}/manifests/${tagName(allTags >> 1)}`, { headers })
  if (!answer.ok) throw new Error(`a pull was answered ${answer.status}`)
  await answer.arrayBuffer()
  return answer.headers.get('docker-content-digest')
}

/** Pushes a small image; answers the milliseconds. */
async function timePush(berth: Subject, repository: string): Promise<number> {
  const pusher = new Pusher(berth, repository)
  try {
    await pusher.login()
    const image = newImage(1, 1_024)
    const startedAt = performance.now()
    await pusher.pushImage(image, 'after')
    return performance.now() - startedAt
  } finally {
    pusher.close()
  }
}

async function medianPage(berth: Subject, path: string): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < pagesRead; i++) {
    const after = Buffer.from(tagName(Math.floor((i * 100_000) / pagesRead))).toString('base64url')
    const startedAt = performance.now()
    await callApi(berth, 'GET', `${path}&cursor=${after}`)
    times.push(performance.now() - startedAt)
  }
  return times.sort((a, b) => a - b)[pagesRead >> 1] ?? 0
}

async function moveTags(berth: Subject, repository: string, count: number): Promise<void> {
  const pusher = new Pusher(berth, repository)
  try {
    await pusher.login()
    const image = newImage(1, 1_024)
    await pusher.pushImage(image, 'other')
    for (let first = 0; first < count; first += tagsPerRequest) {
      const wanted = Math.min(tagsPerRequest, count - first)
      const tags = Array.from({ length: wanted }, (_, i) => `tag=${tagName(first + i)}`)
      await pusher.pushManifest(image, `${image.manifest.digest}?${tags.join('&')}`)
    }
  } finally {
    pusher.close()
  }
}

/** Pulls one manifest again and again; answers how long the slowest took, in milliseconds. */
function startPulls(berth: Subject, repository: string): { stop: () => Promise<number> } {
  const other = `${repository.split('/')[0]}/few`
  const stopping = new AbortController()
  let slowest = 0
  const pulling = (async () => {
    const headers = { ...(await berth.authorization(other)), accept: 'application/vnd.oci.image.manifest.v1+json' }
    while (!stopping.signal.aborted) {
      const startedAt = performance.now()
      const answer = await fetch(`${berth.url}/v2/${other}/manifests/${tagName(1)}`, { headers })
      if (!answer.ok) throw new Error(`a pull was answered ${answer.status}`)
      await answer.arrayBuffer()
      slowest = Math.max(slowest, performance.now() - startedAt)
    }
  })()
  pulling.catch(() => 'told by stop')
  return {
    stop: async () => {
      stopping.abort()
      await pulling
      return slowest
    },
  }
}
