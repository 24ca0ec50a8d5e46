import { fieldsOf, type Operated, sampleOf } from '../hostile/document.ts'
import type { Tenant } from './tenants.ts'
import type { Reach, Sent } from './tenants-table.ts'

/** Numbers between 0 and 1 that are the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type Thing = keyof Tenant
const things: readonly Thing[] = [
  'namespace',
  'repository',
  'repositoryId',
  'distribution',
  'distributionId',
  'remote',
  'remoteId',
  'robot',
  'grant',
  'task',
  'schedule',
  'scheduleId',
  'webhook',
  'webhookId',
  'version',
  'tag',
  'manifest',
  'layer',
  'loose',
  'session',
]
const prefixed = ['repository:', 'distribution:', 'remote:', 'namespace:', 'robot:', 'user:', '']
/** What a parameter of a path is called that a thing of ours belongs in. */
const ofPath: Record<string, readonly Thing[]> = {
  repository: ['repository', 'repositoryId'],
  distribution: ['distribution', 'distributionId'],
  remote: ['remote', 'remoteId'],
  namespace: ['namespace'],
  robot: ['robot'],
  grant: ['grant'],
  task: ['task'],
  schedule: ['schedule', 'scheduleId'],
  webhook: ['webhook', 'webhookId'],
  sync: ['task'],
  digest: ['manifest', 'layer'],
  version: ['version'],
  tag: ['tag'],
}

/**
 * A request that a document allows, with names and ids of either team strewn into its path, its query and its body, at least one of them
 * of the other team. The same function makes the same request of another other team.
 */
export function fuzzed(operation: Operated, random: () => number): Reach {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  type Place = { isOther: boolean; thing: Thing; before: string }
  const place = (among: readonly Thing[], before = ''): Place => ({
    isOther: random() < 0.6,
    thing: pick(among),
    before,
  })
  const inPath = operation.inPath.map((name) => [name, place(ofPath[name] ?? things)] as const)
  const inQuery = operation.inQuery
    .filter((name) => !['limit', 'cursor'].includes(name) && random() < 0.5)
    .map((name) => [name, place(things, pick(prefixed))] as const)
  const fields = fieldsOf(operation)
  const inBody = Object.keys(fields)
    .filter(() => random() < 0.5)
    .map((name) => [name, place(things, pick(prefixed)), pick(['text', 'list', 'object'] as const)] as const)
  const all = [...inPath.map(([, one]) => one), ...inQuery.map(([, one]) => one), ...inBody.map(([, one]) => one)]
  if (all.length > 0 && !all.some(({ isOther }) => isOther)) pick(all).isOther = true

  return (own, other): Sent => {
    const text = ({ isOther, thing, before }: Place) => `${before}${(isOther ? other : own)[thing]}`
    const path = operation.path.replaceAll(/\{(\w+)\}/g, (_all, key: string) =>
      encodeURIComponent(
        text(inPath.find(([name]) => name === key)?.[1] ?? { isOther: true, thing: 'tag', before: '' }),
      ),
    )
    const query = new URLSearchParams(inQuery.map(([name, one]) => [name, text(one)]))
    const shaped = (one: Place, shape: 'text' | 'list' | 'object') => {
      if (shape === 'text') return text(one)
      return shape === 'list' ? [text(one)] : { [one.thing]: text(one), repository: text(one) }
    }
    const body = operation.body && {
      ...(sampleOf(operation.document, operation.body) as object),
      ...Object.fromEntries(inBody.map(([name, one, shape]) => [name, shaped(one, shape)])),
    }
    return {
      method: operation.method,
      path: query.size > 0 ? `${path}?${query}` : path,
      ...(body ? { body } : {}),
    }
  }
}
