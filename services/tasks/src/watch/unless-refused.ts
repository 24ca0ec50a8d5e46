import { Problem } from '@berth/service'

/** Nothing where a login or a right has ended. Throws what says nothing of that, as a service that is away. */
export function unlessRefused(error: unknown): undefined {
  if (!(error instanceof Problem) || error.status >= 500) throw error
}
