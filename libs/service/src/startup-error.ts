/** Something the operator must mend before Berth can start. Printed as one message without a stack trace. */
export class StartupError extends Error {
  override name = 'StartupError'
  readonly remedy: string

  constructor(message: string, remedy: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.remedy = remedy
  }
}

/** The lines an operator reads for an error that ended the start; a stack only for what we did not foresee. */
export function startupMessage(error: unknown): string {
  if (error instanceof StartupError) return `berth cannot start: ${error.message}\n  remedy: ${error.remedy}`
  return `berth cannot start: ${told(error)}`
}

/** The lines an operator reads for a fault that ended a program which had been running. */
export function faultMessage(error: unknown): string {
  return `berth ended by a fault of its own, please report it: ${told(error)}`
}

function told(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
