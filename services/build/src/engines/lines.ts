import { StringDecoder } from 'node:string_decoder'

/** The longest line that is passed on whole. */
const mostLineChars = 16 << 10
/** A shorter line of a secret, as a bracket, is none. */
const leastLineChars = 6
const redacted = '[secret]'

/** Cuts what a stream says into lines, without the values of secrets. */
export function createLines(secrets: Iterable<Buffer>, onLine: (text: string) => void) {
  const values = secretTexts(secrets)
  const longest = Math.max(0, ...values.map((value) => value.length))
  const decoder = new StringDecoder('utf8')
  let held = ''
  const redact = (text: string) => values.reduce((sum, value) => sum.replaceAll(value, redacted), text)
  const take = (text: string) => {
    held += text
    const lines = held.split('\n')
    held = lines.pop() ?? ''
    for (const line of lines) onLine(redact(line.replace(/\r$/, '')).slice(0, 2 * mostLineChars))
    // A line without an end is passed on in pieces; what may be the beginning of a secret waits for the rest.
    while (held.length > mostLineChars + longest) {
      held = redact(held)
      onLine(held.slice(0, mostLineChars))
      held = held.slice(mostLineChars)
    }
  }
  return {
    push: (chunk: Buffer) => take(decoder.write(chunk)),
    end: () => {
      take(decoder.end())
      if (held !== '') onLine(redact(held))
      held = ''
    },
  }
}

/** Each line of a long secret is one too: logs show lines. The longest first, so that none is left over in part. */
function secretTexts(secrets: Iterable<Buffer>): string[] {
  const texts = [...secrets].flatMap((value) => {
    const text = value.toString('utf8')
    const lines = text.split(/\r?\n/).map((line) => line.trim())
    return [text, text.trim(), ...lines.filter((line) => line.length >= leastLineChars)]
  })
  return [...new Set(texts)].filter((text) => text !== '').sort((a, b) => b.length - a.length)
}
