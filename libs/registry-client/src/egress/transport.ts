import type { Readable } from 'node:stream'

/** One request that is sent as it is: its redirects, and what it may be sent to, are the egress's matter. */
type Sent = {
  method: 'GET' | 'HEAD' | 'POST'
  url: URL
  headers: Record<string, string>
  body: string | undefined
  /** Whether it is for the registry itself, which alone sees the client certificate and is trusted by the given authority alone. */
  isOrigin: boolean
  signal: AbortSignal | undefined
}

/** What sends requests over connections that go only where the address rule lets them. */
export type Transport = {
  request(sent: Sent): Promise<{ status: number; headers: Record<string, string>; body: Readable }>
  isClosed(): boolean
  close(): Promise<void>
}
