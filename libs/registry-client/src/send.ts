import type { Answer } from './egress.ts'

/** Sends one request about a repository, logged in if need be. Throws for what is no success, except 404 when `absent`. */
export type Send = (request: {
  method: 'GET' | 'HEAD'
  path: string
  repository?: string
  headers?: Record<string, string>
  absent?: boolean
  signal?: AbortSignal | undefined
}) => Promise<Answer>
