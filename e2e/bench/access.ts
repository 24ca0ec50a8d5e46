import { newImage, Pusher } from './content.ts'
import { fillRepositories } from './fill.ts'
import { load } from './run-command.ts'
import { callApi, type Subject } from './subjects.ts'

const repositories = 10_000
const grants = 200
const ofThem = 30
const pages = 1_000
const guesses = 1_000
const guessers = 16
const seconds = 3
const pageGoalMs = 10
const tokenGoal = 1_000
const person = { name: 'bench-person', password: 'reads thirty of ten thousand' }
const basic = (name: string, password: string) => ({ authorization: `Basic ${btoa(`${name}:${password}`)}` })

/** What it costs to decide who may do what: pages of what an account may see, tokens, and passwords that are guessed. */
export async function measureAccess(berth: Subject): Promise<string> {
  await fillRepositories(berth, 'access', repositories)
  await callApi(berth, 'POST', '/users', person)
  const { secret } = await callApi<{ secret: string }>(berth, 'POST', '/robots', { name: 'bench-robot' })
  await callApi(berth, 'POST', '/groups', { name: 'bench-others', members: [] })
  for (let i = 0; i < grants / 2; i++) {
    const to = i < ofThem / 2 ? { user: person.name } : { group: 'bench-others' }
    await grantPull(berth, to, i * 97)
  }
  await grantPull(berth, { robot: 'bench-robot' }, 0)
  const lines = [
    line(
      'GET /repositories?limit=100, p99 of 1,000 pages',
      'ms',
      await pageOf(berth, '/api/v1/repositories?limit=100'),
    ),
    line('_catalog?n=100, p99 of 1,000 pages', 'ms', await pageOf(berth, '/v2/_catalog?n=100')),
    line('tokens for a robot, 16 connections', 'requests/s', await tokens(berth, basic('bench-robot', secret))),
    line('tokens for nobody, 16 connections', 'requests/s', await tokens(berth, {})),
  ]
  const guessed = await guess(berth)
  return [
    `| Access, ${repositories.toLocaleString('en-US')} repositories, ${grants} grants | unit | measured | goal |`,
    '| --- | --- | --- | --- |',
    ...lines,
    `| p99 of manifest GETs while ${guesses.toLocaleString('en-US')} wrong passwords are tried (${guessed.let} heard, ${guessed.refused} throttled), to before | × | ${guessed.ratio.toFixed(2)} | < 2${guessed.ratio < 2 ? '' : ', missed'} |`,
  ].join('\n')
}

/** Two grants: what is served under a name, and the repository that it serves. */
async function grantPull(berth: Subject, to: object, i: number): Promise<void> {
  const name = `access/${String(i).padStart(6, '0')}`
  for (const kind of ['repository', 'distribution'])
    await callApi(berth, 'POST', '/grants', { to, role: 'puller', on: `${kind}:${name}` })
}

function line(work: string, unit: 'ms' | 'requests/s', value: number): string {
  const goal = unit === 'ms' ? `≤ ${pageGoalMs}` : `≥ ${tokenGoal.toLocaleString('en-US')}`
  const isReached = unit === 'ms' ? value <= pageGoalMs : value >= tokenGoal
  const shown = value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(1)
  return `| ${work} | ${unit} | ${shown} | ${goal}${isReached ? '' : ', missed'} |`
}

/** The 99th percentile in ms of one client's reading a page over and over. */
async function pageOf(berth: Subject, path: string): Promise<number> {
  const answer = await fetch(`${berth.url}/token?service=berth`, { headers: basic(person.name, person.password) })
  const { token } = (await answer.json()) as { token: string }
  const times: number[] = []
  for (let i = 0; i < pages; i++) {
    const startedAt = performance.now()
    const page = await fetch(`${berth.url}${path}`, { headers: { authorization: `Bearer ${token}` } })
    if (!page.ok) throw new Error(`${path}: ${page.status} ${await page.text()}`)
    const shown = Object.values((await page.json()) as { items?: unknown[]; repositories?: unknown[] }).find(
      Array.isArray,
    )
    if (shown?.length !== ofThem / 2) throw new Error(`${path} shows ${shown?.length} of ${ofThem / 2}`)
    times.push(performance.now() - startedAt)
  }
  return times.sort((a, b) => a - b)[Math.floor(pages * 0.99)] ?? Number.NaN
}

async function tokens(berth: Subject, headers: Record<string, string>): Promise<number> {
  const scope = encodeURIComponent('repository:access/000000:pull')
  const url = `${berth.url}/token?service=berth&scope=${scope}`
  return (await load(url, { connections: 16, seconds, headers })).requestsPerSecond
}

/** How much longer pulls of others take while passwords are tried, and how many of these were heard at all. */
async function guess(berth: Subject): Promise<{ ratio: number; let: number; refused: number }> {
  const pusher = new Pusher(berth, 'bench/guessed')
  await pusher.login()
  await pusher.pushImage(newImage(1, 1_024), 'latest')
  pusher.close()
  const headers = {
    ...(await berth.authorization('bench/guessed')),
    accept: 'application/vnd.oci.image.manifest.v1+json',
  }
  const pull = async () => {
    const url = `${berth.url}/v2/bench/guessed/manifests/latest`
    return (await load(url, { connections: 4, seconds, headers })).p99Ms
  }
  const before = await pull()
  const statuses: number[] = []
  let left = guesses
  const tryPasswords = async () => {
    while (left-- > 0) {
      const answer = await fetch(`${berth.url}/token?service=berth`, { headers: basic(person.name, `wrong ${left}`) })
      await answer.arrayBuffer()
      statuses.push(answer.status)
    }
  }
  const [during] = await Promise.all([pull(), ...Array.from({ length: guessers }, tryPasswords)])
  const refused = statuses.filter((status) => status === 429).length
  return { ratio: during / before, let: statuses.length - refused, refused }
}
