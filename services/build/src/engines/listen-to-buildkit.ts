import type { BuildDeps, BuildPlan } from './engine.ts'
import { createLines, createRedactor } from './lines.ts'
import type { Heard } from './outcome.ts'

// What buildctl writes with --progress=rawjson, as far as it is read here.
type Vertex = { digest: string; name: string; started?: string; completed?: string; cached?: boolean; error?: string }
type Said = { vertexes?: Vertex[]; logs?: { vertex: string; stream: number; data: string }[]; warnings?: unknown[] }

const stepName = /^\[([^\]]*?\d+\/\d+)\] (.*)$/s
const failed = /^(?:error|ERROR): (?:failed to solve: )?(.+)$/
/** One report may carry what a step wrote at once. */
const mostReportChars = 8 << 20

/** Reads what BuildKit reports: lines for the log, how far it is, and why it failed. */
export function listenToBuildkit(plan: BuildPlan, { onLine, onProgress }: BuildDeps) {
  const heard: Heard = { step: null, instruction: null, reason: null, isDiskFull: false }
  const secrets = [...plan.secrets.values()]
  const vertices = new Map<string, Vertex & { step: string | null }>()
  const logs = new Map<string, ReturnType<typeof createLines>>()

  const { redact } = createRedactor(secrets)
  const say = (step: string | null, stream: 'stdout' | 'stderr', said: string) => {
    const text = redact(said)
    if (/no space left on device/i.test(text)) heard.isDiskFull = true
    onLine({ at: new Date().toISOString(), step, stream, text })
  }
  const logOf = (vertex: string, stream: 'stdout' | 'stderr') => {
    const key = `${vertex} ${stream}`
    const step = vertices.get(vertex)?.step ?? null
    const lines = logs.get(key) ?? createLines(secrets, (text) => say(step, stream, text))
    logs.set(key, lines)
    return lines
  }
  const steps = () => [...vertices.values()].filter(({ step }) => step !== null)
  const hearVertex = (vertex: Vertex) => {
    const [, step = null, instruction = ''] = stepName.exec(vertex.name) ?? []
    const known = vertices.get(vertex.digest)
    const isNewer = (field: 'started' | 'cached' | 'completed') => vertex[field] && !known?.[field]
    vertices.set(vertex.digest, { ...known, ...vertex, step })
    if (step !== null && isNewer('started')) {
      heard.step = step
      heard.instruction = redact(instruction).slice(0, 200)
    }
    if (isNewer('started') && !vertex.name.startsWith('[internal]')) say(step, 'stdout', vertex.name)
    if (step !== null && isNewer('cached')) say(step, 'stdout', 'CACHED')
    if (vertex.error) {
      if (step !== null) Object.assign(heard, { step, instruction: redact(instruction).slice(0, 200) })
      say(step, 'stderr', vertex.error)
    }
  }
  const hear = (said: Said) => {
    for (const vertex of said.vertexes ?? []) hearVertex(vertex)
    for (const { vertex, stream, data } of said.logs ?? [])
      logOf(vertex, stream === 2 ? 'stderr' : 'stdout').push(Buffer.from(data, 'base64'))
    if (said.vertexes) onProgress(steps().filter(({ completed }) => completed).length, steps().length)
  }
  const hearLine = (text: string) => {
    if (text.startsWith('{')) {
      const said = parsed(text)
      if (said) return hear(said)
    }
    const reason = failed.exec(text)?.[1]
    if (reason || heard.reason === null) heard.reason = redact(reason ?? text).slice(0, 1000)
    if (!text.startsWith('time=')) say(null, 'stderr', text)
  }
  // Secrets are taken out of what reports carry: a short one, as "1", stands in the form of the reports themselves.
  const streams = {
    stdout: createLines(secrets, (text) => say(null, 'stdout', text)),
    stderr: createLines([], hearLine, mostReportChars),
  }
  return {
    heard,
    counts: () => ({ steps: steps().length, cached: steps().filter(({ cached }) => cached).length }),
    onOutput: (stream: 'stdout' | 'stderr', chunk: Buffer) => streams[stream].push(chunk),
    end: () => {
      for (const lines of [streams.stdout, streams.stderr, ...logs.values()]) lines.end()
    },
  }
}

function parsed(text: string): Said | undefined {
  try {
    return JSON.parse(text) as Said
  } catch {
    // A line of a program that only looks like a report.
    return undefined
  }
}
