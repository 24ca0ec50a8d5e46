import type { Answer } from './egress/egress.ts'

/**
 * Sends one request about a repository, or with another `scope`, logged in if need be. Throws for what is no success, except the
 * statuses of `absent`: true means 404.
 */
export type Send = (request: {
  method: 'GET' | 'HEAD'
  path: string
  repository?: string
  scope?: string
  headers?: Record<string, string>
  absent?: boolean | readonly number[]
  signal?: AbortSignal | undefined
}) => Promise<Answer>
