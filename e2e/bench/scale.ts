import { fillRepositories, fillTags, tagName } from './fill.ts'
import { load } from './run-command.ts'
import type { Subject } from './subjects.ts'

const manyTags = 100_000
const fewTags = 500
const manyRepositories = 10_000
const connections = 8
const seconds = 3
const goalMs = 10

type Line = { work: string; few: number; many: number; unit: string; goal: string }

/** What Berth does when there is much of everything, beside the same with little of it. */
export async function measureScale(berth: Subject): Promise<string> {
  await fillTags(berth, 'scale/few', fewTags)
  const fewCatalog = await catalogPage(berth)
  await fillTags(berth, 'scale/many', manyTags)
  await fillRepositories(berth, 'scale/repositories', manyRepositories)
  const lines: Line[] = [
    latency(
      'tags/list?n=100 from the middle, p99',
      await tagsPage(berth, 'few', fewTags),
      await tagsPage(berth, 'many', manyTags),
    ),
    latency('_catalog?n=100, p99', fewCatalog, await catalogPage(berth)),
    {
      work: 'manifest GET by tag, 16 connections',
      few: await manifests(berth, 'few'),
      many: await manifests(berth, 'many'),
      unit: 'requests/s',
      goal: 'the same',
    },
  ]
  return [
    `| Berth at scale | unit | ${fewTags} tags, few repositories | ${manyTags.toLocaleString('en-US')} tags, ${manyRepositories.toLocaleString('en-US')} repositories | goal |`,
    '| --- | --- | --- | --- | --- |',
    ...lines.map(({ work, unit, few, many, goal }) => `| ${work} | ${unit} | ${show(few)} | ${show(many)} | ${goal} |`),
  ].join('\n')
}

function latency(work: string, few: number, many: number): Line {
  return { work, few, many, unit: 'ms', goal: `≤ ${goalMs}${many <= goalMs ? '' : ', missed'}` }
}

function show(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(1)
}

async function tagsPage(berth: Subject, name: 'few' | 'many', count: number): Promise<number> {
  const headers = await berth.authorization(`scale/${name}`)
  const url = `${berth.url}/v2/scale/${name}/tags/list?n=100&last=${tagName(Math.floor(count / 2))}`
  return (await load(url, { connections, seconds, headers })).p99Ms
}

async function catalogPage(berth: Subject): Promise<number> {
  const headers = await berth.authorization('scale/few', 'registry:catalog:*')
  return (await load(`${berth.url}/v2/_catalog?n=100&last=scale`, { connections, seconds, headers })).p99Ms
}

async function manifests(berth: Subject, name: 'few' | 'many'): Promise<number> {
  const headers = {
    ...(await berth.authorization(`scale/${name}`)),
    accept: 'application/vnd.oci.image.manifest.v1+json',
  }
  const url = `${berth.url}/v2/scale/${name}/manifests/${tagName(250)}`
  return (await load(url, { connections: 16, seconds, headers })).requestsPerSecond
}
