import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import yaml from 'js-yaml'

const helm = process.env.BERTH_TEST_HELM
/** Why no chart can be rendered here. */
export const helmMissing = helm ? undefined : (process.env.BERTH_TEST_NO_HELM ?? 'no helm')
export const chart = fileURLToPath(new URL('../../deploy/helm/berth', import.meta.url))
// A helm that Go has built knows of no newer Kubernetes than the first that it was made for.
const version = ['--kube-version', '1.37.2']

export type KubernetesObject = {
  apiVersion: string
  kind: string
  metadata: { name: string; labels: Record<string, string>; annotations?: Record<string, string> }
  // oxlint-disable-next-line typescript/no-explicit-any -- each kind has fields of its own, whose form its schema checks
  [field: string]: any
}

/** Runs helm; answers what it wrote and whether it was content. */
function runHelm(args: readonly string[], input?: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(helm as string, args, { encoding: 'utf8', input, maxBuffer: 64 << 20 })
}

/** The objects that the chart makes of some values. Throws with what helm says. */
export function render(values: object, args: readonly string[] = [], release = 'hub'): KubernetesObject[] {
  const { status, stdout, stderr } = renderText(values, args, release)
  if (status !== 0) throw new Error(stderr)
  return yaml.loadAll(stdout).filter((one) => one !== null) as KubernetesObject[]
}

export function renderText(values: object, args: readonly string[] = [], release = 'hub') {
  return runHelm(
    ['template', release, chart, '--namespace', 'berth', ...version, '--values', '-', ...args],
    JSON.stringify(values),
  )
}

export function lint(values: object) {
  return runHelm(['lint', '--strict', chart, ...version, '--values', '-'], JSON.stringify(values))
}
