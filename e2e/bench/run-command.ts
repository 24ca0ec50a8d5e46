import { spawn } from 'node:child_process'

/** Runs a program to its end; answers what it printed and how long it took in seconds. Throws when it fails. */
export async function runCommand(
  program: string,
  args: readonly string[],
): Promise<{ output: string; seconds: number }> {
  const startedAt = performance.now()
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${output.slice(-2_000)}`)
  return { output, seconds: (performance.now() - startedAt) / 1000 }
}

/** Has what was written before on disk, so that no measurement pays for another's writes. */
export const settleDisk = () => runCommand('sync', [])

export type Load = { requestsPerSecond: number; bytesPerSecond: number; p99Ms: number }
const units: Record<string, number> = { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 }

/** Loads a URL with wrk, from one thread. Throws when any answer was no success. */
export async function load(
  url: string,
  options: { connections: number; seconds: number; headers: Record<string, string> },
): Promise<Load> {
  const headers = Object.entries(options.headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const { output } = await runCommand('wrk', [
    '-t1',
    `-c${options.connections}`,
    `-d${options.seconds}s`,
    '--latency',
    '--timeout',
    '30s',
    ...headers,
    url,
  ])
  if (/Non-2xx/.test(output)) throw new Error(`${url} refused requests: ${output}`)
  const [, amount = '0', unit = 'B'] = /Transfer\/sec:\s+([\d.]+)([KMG]?B)/.exec(output) ?? []
  const [, p99 = 'NaN', p99Unit = 'ms'] = /^\s+99%\s+([\d.]+)(us|ms|s)$/m.exec(output) ?? []
  return {
    p99Ms: Number(p99) * (p99Unit === 's' ? 1_000 : p99Unit === 'us' ? 0.001 : 1),
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1] ?? 0),
    bytesPerSecond: Number(amount) * (units[unit] ?? 1),
  }
}
