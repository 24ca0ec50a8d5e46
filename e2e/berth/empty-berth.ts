import type { Berth } from './berth.ts'
import { query } from './databases.ts'

type Item = { id: string | null; name: string; state: string; runAs?: string }

/**
 * Takes away all that has a name, and ends the tasks. Blobs stay until they are collected: what a file brings differs from
 * what others brought.
 */
export async function emptyBerth(berth: Berth): Promise<void> {
  // First, for they start tasks. Those that Berth itself runs are in an empty one too.
  await removeAll(berth, '/schedules', '', ({ runAs }) => runAs !== 'system')
  await removeAll(berth, '/webhooks')
  for (const state of ['waiting', 'running']) {
    for (const { id } of await listed(berth, `/tasks?state=${state}`)) {
      await berth.api('POST', `/tasks/${id}/cancel`)
      await berth.waitForTask(id as string)
    }
  }
  await removeAll(berth, '/distributions')
  await removeAll(berth, '/remotes', '?force=true')
  await removeAll(berth, '/repositories')
  // One without an id has no settings: it is there as long as its repositories are.
  await removeAll(berth, '/namespaces', '', ({ id }) => id !== null)
  // Those to the group that everybody is in: all others go with their holders.
  for (const { id } of await listed(berth, '/grants')) await berth.api('DELETE', `/grants/${id}`)
  await removeAll(berth, '/users', '', ({ name }) => name !== berth.user)
  await removeAll(berth, '/trusts')
  await removeAll(berth, '/identity-providers')
  await removeAll(berth, '/robots')
  await removeAll(berth, '/groups', '', ({ name }) => name !== 'authenticated')
  await removeAll(berth, '/roles', '', ({ id }) => id !== null)
  // Else the wrong passwords of several files would come to the limit together.
  if (berth.databaseUrl) await query(berth.databaseUrl, 'delete from auth.login_attempt')
  const { status } = await fetch(`${berth.url}/readyz`)
  if (status !== 200) throw new Error(`/readyz answers ${status}`)
}

async function removeAll(berth: Berth, path: string, how = '', isMade: (item: Item) => boolean = () => true) {
  for (const item of (await listed(berth, path)).filter(isMade)) {
    const { status, body } = await berth.api('DELETE', `${path}/${encodeURIComponent(item.name)}${how}`)
    if (status !== 204 && status !== 404)
      throw new Error(`DELETE ${path}/${item.name}: ${status} ${JSON.stringify(body)}`)
  }
}

async function listed(berth: Berth, path: string): Promise<Item[]> {
  const items: Item[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: string = `${path}${path.includes('?') ? '&' : '?'}limit=1000${cursor ? `&cursor=${cursor}` : ''}`
    const { status, body } = await berth.api('GET', page)
    if (status !== 200) throw new Error(`GET ${page}: ${status} ${JSON.stringify(body)}`)
    items.push(...body.items)
    cursor = body.next
  }
  return items
}
