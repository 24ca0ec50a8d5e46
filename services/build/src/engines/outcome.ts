import { Problem } from '@berth/service'
import type { SandboxEnd } from '../sandbox/run-sandbox.ts'
import type { BuildLimits } from './engine.ts'

/** What was heard of a build that failed. */
export type Heard = { step: string | null; instruction: string | null; reason: string | null; isDiskFull: boolean }

/** Why a build failed, as its user is told; nothing when it did not. */
export function outcomeOf(end: SandboxEnd, heard: Heard, limits: BuildLimits): Problem | undefined {
  const more = { step: heard.step }
  const at = heard.step === null ? '' : ` at step ${heard.step}${heard.instruction ? ` (${heard.instruction})` : ''}`
  if (end.overrun === 'time')
    return new Problem(422, 'build_timed_out', `The build took more than ${limits.seconds} seconds${at}.`, {
      hint: 'Make its steps faster, or ask for a higher BERTH_BUILD_SECONDS.',
      more,
    })
  if (end.overrun === 'memory')
    return new Problem(
      422,
      'build_out_of_memory',
      `The build took more than ${limits.memoryBytes} bytes of memory${at}.`,
      {
        hint: 'Let it do less at once, or ask for a higher BERTH_BUILD_MEMORY_BYTES.',
        more,
      },
    )
  if (end.overrun === 'processes')
    return new Problem(
      422,
      'build_out_of_processes',
      `The build had ${limits.processes} processes and wanted more${at}.`,
      {
        hint: 'Let it do less at once, or ask for a higher BERTH_BUILD_PROCESSES.',
        more,
      },
    )
  if (end.exitCode === 0) return undefined
  if (heard.isDiskFull)
    return new Problem(422, 'build_out_of_disk', `The build wrote more than ${limits.diskBytes} bytes${at}.`, {
      hint: 'Let it write less, remove what a step leaves in the same step, or ask for a higher BERTH_BUILD_DISK_BYTES.',
      more,
    })
  if (end.phase === 'context')
    return new Problem(
      400,
      'context_refused',
      `context: it cannot be unpacked${heard.reason ? `: ${heard.reason}` : ''}`,
      {
        field: 'context',
        hint: 'Make it by tar: tar -czf context.tar.gz -C FOLDER .',
      },
    )
  // Before its script has begun nothing of the user's has run: what fails then is ours, or the machine's.
  if (!['bases', 'build', 'result'].includes(end.phase))
    throw new Error(`the sandbox did not come up (${end.phase || 'start'}, exit code ${end.exitCode}): ${heard.reason}`)
  const code = exitCodeIn(heard.reason)
  return new Problem(422, 'build_failed', `The build failed${at}: ${heard.reason ?? `exit code ${end.exitCode}`}.`, {
    hint: 'The log of the build says more.',
    more: { ...more, exitCode: code },
  })
}

/** The exit code of a step, as both engines say it. */
function exitCodeIn(reason: string | null): number | null {
  const code = /exit (?:status|code:?) (\d+)/.exec(reason ?? '')?.[1]
  return code === undefined ? null : Number(code)
}
