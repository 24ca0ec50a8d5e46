import { choice } from './config.ts'
import { logLevels, logOutputs } from './logger.ts'

/** How much is written to the log, and where to. */
export const logSettings = {
  logLevel: choice('BERTH_LOG_LEVEL', logLevels, { fallback: 'info' }),
  logOutput: choice('BERTH_LOG_OUTPUT', logOutputs, { fallback: 'file' }),
}
