import type { BuildDeps, BuildPlan } from './engine.ts'
import { createLines } from './lines.ts'
import type { Heard } from './outcome.ts'

const stepLine = /^(?:\[(\d+\/\d+)\] )?STEP (\d+)\/(\d+): (.*)$/
const cachedLine = /^--> Using cache /

/** Reads what buildah says: lines for the log, how far it is, and why it failed. */
export function listenToBuildah(plan: BuildPlan, { onLine, onProgress }: BuildDeps) {
  const heard: Heard & { steps: number; cached: number } = {
    step: null,
    instruction: null,
    reason: null,
    isDiskFull: false,
    steps: 0,
    cached: 0,
  }
  let total = 0
  const hear = (stream: 'stdout' | 'stderr') =>
    createLines(plan.secrets.values(), (text) => {
      const step = stepLine.exec(text)
      if (step) {
        const [, stage, at = '', of = '', instruction = ''] = step
        heard.step = stage === undefined ? `${at}/${of}` : `${stage} ${at}/${of}`
        heard.instruction = instruction.slice(0, 200)
        heard.steps++
        if (at === '1') total += Number(of)
        onProgress(heard.steps - 1, Math.max(total, heard.steps))
      }
      if (cachedLine.test(text)) heard.cached++
      if (stream === 'stderr') {
        if (/no space left on device/i.test(text)) heard.isDiskFull = true
        const said = /^(?:Error: |tar: |mount: |error )?(.+)$/i.exec(text)?.[1]
        if (said) heard.reason = said.slice(0, 1000)
      }
      onLine({ at: new Date().toISOString(), step: heard.step, stream, text })
    })
  const streams = { stdout: hear('stdout'), stderr: hear('stderr') }
  return {
    heard,
    onOutput: (stream: 'stdout' | 'stderr', chunk: Buffer) => streams[stream].push(chunk),
    end: () => {
      streams.stdout.end()
      streams.stderr.end()
    },
  }
}
