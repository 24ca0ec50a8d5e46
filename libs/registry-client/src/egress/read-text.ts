import type { Answer } from './egress.ts'
import { connectionError, UpstreamError } from './upstream-error.ts'

/** Reads a body as text. Throws `UpstreamError` when it breaks off, or is longer than `limitBytes`. */
export async function readText(answer: Answer, limitBytes: number, what: string): Promise<string> {
  return (await readBytes(answer, limitBytes, what)).toString('utf8')
}

/** Reads a body that must be short and whole. Throws as `readText`. */
export async function readBytes(answer: Answer, limitBytes: number, what: string): Promise<Buffer> {
  const { host } = answer.url
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > limitBytes)
        throw new UpstreamError('protocol', `${host} gave more than ${limitBytes} bytes for ${what}`, { host })
      chunks.push(chunk)
    }
  } catch (error) {
    throw connectionError(host, what, error)
  }
  return Buffer.concat(chunks)
}
