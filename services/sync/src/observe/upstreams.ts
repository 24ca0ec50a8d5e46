import type { UpstreamAnswer } from '@berth/registry-client'
import { Counter, Gauge, type Metrics } from '@berth/service'

/** What hears every answer that a remote's upstream gives. */
export type HearAnswers = (remote: { name: string }) => (answer: UpstreamAnswer) => void

const classes: readonly [string, RegExp][] = [
  ['docker.io', /(^|\.)docker\.(io|com)$/],
  ['ghcr.io', /(^|\.)ghcr\.io$/],
  ['quay.io', /(^|\.)quay\.io$/],
  ['registry.k8s.io', /(^|\.)k8s\.io$/],
  ['google', /(^|\.)(gcr\.io|pkg\.dev)$/],
  ['amazon', /(^|\.)(public\.ecr\.aws|amazonaws\.com)$/],
  ['microsoft', /(^|\.)(azurecr\.io|mcr\.microsoft\.com)$/],
  ['gitlab', /(^|\.)gitlab\.com$/],
]
// There is no limit to the number of remotes; of those whose upstream names a limit, this many are shown.
const mostRemotes = 1_000

/** Which of a few kinds of hosts this one is of: their names would be without bound. */
export function hostClassOf(host: string): string {
  const name = host.replace(/:\d+$/, '').toLowerCase()
  return classes.find(([, pattern]) => pattern.test(name))?.[0] ?? 'other'
}

/** Makes the metrics of what upstreams answer. */
export function createUpstreamMetrics({ registry }: Pick<Metrics, 'registry'>): HearAnswers {
  const requests = new Counter({
    name: 'berth_upstream_requests_total',
    help: 'Requests to registries upstream and where they point to, by kind of host and status; "none" is one without an answer.',
    labelNames: ['host_class', 'code'],
    registers: [registry],
  })
  const remaining = new Gauge({
    name: 'berth_upstream_ratelimit_remaining',
    help: 'How many requests the upstream of a remote said last that it still grants.',
    labelNames: ['remote'],
    registers: [registry],
  })
  const shown = new Set<string>()
  const show = (remote: string, value: number) => {
    // The one heard last stays longest.
    shown.delete(remote)
    shown.add(remote)
    remaining.set({ remote }, value)
    const [oldest] = shown
    if (shown.size <= mostRemotes || oldest === undefined) return
    shown.delete(oldest)
    remaining.remove({ remote: oldest })
  }
  return ({ name }) =>
    ({ host, status, remaining }) => {
      requests.inc({ host_class: hostClassOf(host), code: status === undefined ? 'none' : String(status) })
      if (remaining !== undefined) show(name, remaining)
    }
}
