import type { Cluster } from './cluster.ts'
import { namespace, release } from './release.ts'

type Line = { level: string; timestamp: string; message: string; error?: { stack?: string } }
type Explained = { message: string; isMeant(line: Line, natsSince: Date): boolean }

/** Lines of level error that a release which goes well may have, each with its reason. */
const explained: readonly Explained[] = [
  // Services that are replaced faster than NATS ask for what its users may not do yet.
  { message: 'nats does not let do what is needed', isMeant: ({ timestamp }, since) => new Date(timestamp) < since },
  // A peer that is being replaced does not answer (503), and the client tries again: what is foreseen has no stack.
  ...['registry request failed', 'internal command failed', 'api request failed'].map((message) => ({
    message,
    isMeant: ({ error }: Line) => error !== undefined && error.stack === undefined,
  })),
]

/**
 * The lines of level error in what pods of Berth wrote that nothing explains. Other servers have logs of their own form, and
 * complain of each peer that goes. `natsSince`: when the last pod of NATS was ready.
 */
export function unexplained(logs: string, natsSince: Date): string[] {
  return logs.split('\n').filter((text) => {
    const line = readLine(text)
    if (line?.level !== 'error') return false
    return !explained.some((one) => one.message === line.message && one.isMeant(line, natsSince))
  })
}

/** What is put before a line, the name of its pod or container, is passed over. */
function readLine(text: string): Line | undefined {
  try {
    return JSON.parse(text.slice(text.indexOf('{'))) as Line
  } catch {
    return undefined
  }
}

/** What the pods of the release that are there have written, also before they last started again. */
export async function errorLines(cluster: Cluster): Promise<string[]> {
  const selector = `app.kubernetes.io/instance=${release}`
  const listed = await cluster.kubectl(['-n', namespace, 'get', 'pods', '-l', selector, '-o', 'json'])
  const { items } = JSON.parse(listed) as { items: Pod[] }
  const natsReady = items
    .filter(({ metadata }) => metadata.labels['app.kubernetes.io/component'] === 'nats')
    .map(({ status }) => status.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime ?? 0)
  // A connection that a pod of NATS has ended is made again within seconds.
  const natsSince = new Date(Math.max(0, ...natsReady.map((at) => new Date(at).getTime())) + 5_000)
  const logs = items.flatMap(({ metadata: { name }, status }) => {
    const hasStartedAgain = status.containerStatuses?.some(({ restartCount }) => restartCount > 0)
    const read = (...more: string[]) =>
      cluster.kubectl(['-n', namespace, 'logs', name, '--prefix', '--tail=-1', ...more]).catch((error: Error) => {
        // It has gone meanwhile, or it has not begun.
        if (/not found|waiting to start|ContainerCreating/.test(String(error))) return ''
        throw error
      })
    return hasStartedAgain ? [read(), read('--previous')] : [read()]
  })
  return unexplained((await Promise.all(logs)).join('\n'), natsSince)
}

type Pod = {
  metadata: { name: string; labels: Record<string, string> }
  status: {
    conditions?: { type: string; lastTransitionTime: string }[]
    containerStatuses?: { restartCount: number }[]
  }
}
