import { startRecording } from '@berth/tracing'
import { type ConfigOf, optionalUrl, parsed } from './config.ts'
import type { Logger } from './logger.ts'
import { StartupError } from './startup-error.ts'
import { version } from './version.ts'

const usualRatio = 0.05

/** Where traces are sent, and how many of them; the standalone stack reads this too. */
export const traceSettings = {
  otlpEndpoint: optionalUrl('BERTH_OTLP_ENDPOINT', ['http', 'https']),
  traceRatio: parsed<number>('BERTH_TRACE_RATIO', 'a number from 0 to 1, as 0.05', readRatio, { fallback: usualRatio }),
}

function readRatio(text: string): number | undefined {
  const ratio = Number(text)
  return /^\d+(\.\d+)?$/.test(text) && ratio <= 1 ? ratio : undefined
}

/** Records traces from now on, if there is a collector. Answers how to stop; throws `StartupError` without the packages that it takes. */
export async function startTraces(
  { otlpEndpoint, traceRatio }: ConfigOf<typeof traceSettings>,
  log: Logger,
): Promise<{ stop(): Promise<void> } | undefined> {
  if (otlpEndpoint === undefined) return undefined
  const onLost = (lost: { spans: number; error: Error | undefined }) =>
    log.warn('the collector of traces does not take them', { ...lost })
  try {
    return await startRecording({ endpoint: otlpEndpoint, ratio: traceRatio, version, onLost })
  } catch (cause) {
    throw new StartupError(
      'BERTH_OTLP_ENDPOINT is set, and the packages of OpenTelemetry are not installed',
      'install the optional dependencies too, or take the setting away',
      { cause },
    )
  }
}
