import { expect } from '@jest/globals'
import { basic } from './basic.ts'
import type { Answer, Berth, TaskView } from './berth.ts'

export { basic } from './basic.ts'
export { sha256 } from './sha256.ts'

/** The path of a repository in the API: slashes in its name are escaped. */
export function repositoryPath(name: string): string {
  return `/repositories/${encodeURIComponent(name)}`
}

/** Makes something by POST and answers it; fails the test when it is not made. */
export async function make(stack: Berth, path: string, body: unknown): Promise<Answer['body']> {
  const answer = await stack.api('POST', path, body)
  expect({ status: answer.status, body: answer.body }).toMatchObject({ status: 201 })
  return answer.body
}

/** What a remote of a registry on this machine needs. */
export function localRemote(name: string, url: string, upstreamName: string, more: object = {}): object {
  return {
    name,
    url,
    upstreamName,
    policy: 'immediate',
    allowPrivateAddresses: true,
    redirectHosts: ['localhost', '127.0.0.1'],
    ...more,
  }
}

/** Asks for a sync and answers its task, not yet ended. */
export async function startSync(stack: Berth, repository: string, remote: string): Promise<TaskView> {
  const { status, headers, body } = await stack.api('POST', '/syncs', { repository, remote, mode: 'additive' })
  expect({ status, body }).toMatchObject({ status: 202 })
  expect(headers.get('location')).toBe(`/api/v1/tasks/${body.id}`)
  return body as TaskView
}

/** Syncs to the end; the task must complete. */
export async function sync(stack: Berth, repository: string, remote: string): Promise<TaskView> {
  const { id } = await startSync(stack, repository, remote)
  const task = await stack.waitForTask(id)
  expect(task).toMatchObject({ state: 'completed', error: null })
  return task
}

/** The numbers of the versions, newest first. */
export async function versionNumbers(stack: Berth, repository: string): Promise<number[]> {
  const { status, body } = await stack.api('GET', `${repositoryPath(repository)}/versions`)
  expect(status).toBe(200)
  return body.items.map((version: { number: number }) => version.number)
}

export const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ')

/** GET of a manifest on any registry, anonymous unless the stack's administrator asks. */
export async function getManifest(
  url: string,
  as?: { user: string; password: string },
): Promise<{ status: number; digest: string; text: string }> {
  const headers: Record<string, string> = { accept: manifestTypes }
  if (as) headers.authorization = basic(as)
  const answer = await fetch(url, { headers })
  return {
    status: answer.status,
    digest: answer.headers.get('docker-content-digest') ?? '',
    text: await answer.text(),
  }
}
