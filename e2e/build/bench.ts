import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { searchHere } from '@berth/build-service'
import { basic } from '../berth/basic.ts'
import type { Answer, Berth, TaskView } from '../berth/berth.ts'
import { until } from '../berth/processes.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const busybox = '/bin/busybox'
const buildUser = process.env.BERTH_TEST_BUILD_USER ?? (process.getuid?.() === 0 ? 'berth-build' : undefined)
/** What a Berth needs that builds. */
export const buildEnvironment = { BERTH_BUILDS: 'true', ...(buildUser ? { BERTH_BUILD_USER: buildUser } : {}) }
/** Whether the costly tests run too. */
export const isWhole = process.env.BERTH_TEST_BUILD === 'true'

/** Why nothing can be built on this machine, with the remedy; `undefined` where it can. */
export async function whyNoBuilds(): Promise<string | undefined> {
  const folder = makeTemporaryFolder('engine')
  try {
    const found = await searchHere({ buildDirectory: folder, buildUser })(new AbortController().signal)
    if ('missing' in found) return found.missing
    return existsSync(busybox) ? undefined : 'apt-get install busybox-static'
  } finally {
    removeFolder(folder)
  }
}

export type Field = [name: string, value: string]

/** A tar of files by their names; `busybox` among them when asked for. */
export function contextOf(files: Record<string, string>, { withBusybox = false } = {}): Buffer {
  const folder = makeTemporaryFolder('context')
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
      writeFileSync(path.join(folder, name), text)
    }
    if (withBusybox) copyFileSync(busybox, path.join(folder, 'busybox'))
    const sorted = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner']
    const { stdout, status } = spawnSync('tar', ['-c', '-C', folder, ...sorted, '.'], { maxBuffer: 64 << 20 })
    if (status !== 0) throw new Error('tar made no context')
    return stdout
  } finally {
    removeFolder(folder)
  }
}

/** Asks for a build as somebody, the administrator unless said. */
export async function postBuild(
  stack: Berth,
  fields: readonly Field[],
  { context, authorization = basic(stack) }: { context?: Buffer; authorization?: string } = {},
): Promise<Answer> {
  const form = new FormData()
  for (const [name, value] of fields) form.append(name, value)
  if (context) form.append('context', new Blob([new Uint8Array(context)]), 'context.tar')
  const headers = { authorization }
  const answer = await fetch(`${stack.url}/api/v1/builds`, { method: 'POST', headers, body: form })
  return { status: answer.status, body: await answer.json(), headers: answer.headers }
}

/** Waits until the service has found its engine, behind its start. */
export async function engineFound(stack: Berth): Promise<void> {
  await until('an engine is found', async () => {
    const { builds } = (await (await fetch(`${stack.url}/readyz`)).json()) as { builds?: string }
    return builds?.startsWith('build')
  })
}

/** Builds to the end, however it ends. */
export async function build(stack: Berth, fields: readonly Field[], context?: Buffer): Promise<TaskView> {
  const { status, body } = await postBuild(stack, fields, context ? { context } : {})
  if (status !== 202) throw new Error(`no build: ${status} ${JSON.stringify(body)}`)
  return stack.waitForTask(body.id, 120_000)
}

/** The log of a task's build, as text. */
export async function logOf(stack: Berth, taskId: string): Promise<string> {
  const { body } = await stack.api('GET', '/builds?limit=1000')
  const { id } = body.items.find(({ task }: { task: string }) => task === taskId)
  return (await stack.api('GET', `/builds/${id}/log`)).body
}

/** The beginning of a Containerfile with a shell, whose context has busybox. */
export const withShell = `FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
`
