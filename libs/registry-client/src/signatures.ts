import type { Digest } from '@berth/oci'
import type { Answer } from './egress/egress.ts'
import { readText } from './egress/read-text.ts'
import { UpstreamError } from './egress/upstream-error.ts'
import type { Send } from './send.ts'

/** An atomic signature, as containers/image signs: `name` is the digest, `@` and 32 hex digits; `content` is base64. */
export type AtomicSignature = { name: string; content: string }

const mostSignatures = 64
const contentLimitBytes = 16 << 10
const bodyLimitBytes = 4 << 20

/** Whether the answer of `GET /v2/` announces signatures (OpenShift's registry, and Berth). */
export function announcesSignatures({ headers }: Pick<Answer, 'headers'>): boolean {
  return headers['x-registry-supports-signatures'] === '1'
}

/** The atomic signatures of a manifest. Throws `UpstreamError` protocol for what is none. */
export async function readSignatures(
  send: Send,
  { repository, digest, signal }: { repository: string; digest: Digest; signal: AbortSignal | undefined },
): Promise<AtomicSignature[]> {
  const path = `/extensions/v2/${repository}/signatures/${digest}`
  const answer = await send({ method: 'GET', path, repository, signal })
  const found = parse(await readText(answer, bodyLimitBytes, `the signatures of ${digest}`))
  const isRight = found?.every(({ name, content }) => isName(name, digest) && isContent(content))
  if (found && isRight && found.length <= mostSignatures) return found.map(({ name, content }) => ({ name, content }))
  throw new UpstreamError('protocol', `${answer.url.host} gave signatures of ${digest} that cannot be taken`, {
    host: answer.url.host,
  })
}

function parse(text: string): AtomicSignature[] | undefined {
  try {
    const { signatures } = JSON.parse(text) as { signatures?: unknown }
    if (!Array.isArray(signatures)) return undefined
    return signatures.filter((one: { type?: unknown } | null) => one?.type === 'atomic') as AtomicSignature[]
  } catch {
    // the caller says what is wrong: it knows the host
    return undefined
  }
}

function isName(name: unknown, digest: Digest): boolean {
  return (
    typeof name === 'string' && name.startsWith(`${digest}@`) && /^[0-9a-f]{32}$/.test(name.slice(digest.length + 1))
  )
}

function isContent(content: unknown): boolean {
  if (typeof content !== 'string' || content === '') return false
  const bytes = Buffer.from(content, 'base64')
  return bytes.length <= contentLimitBytes && bytes.toString('base64') === content
}
