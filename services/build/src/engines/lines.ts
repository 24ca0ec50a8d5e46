import { StringDecoder } from 'node:string_decoder'

/** The longest line that is passed on whole. */
const mostLineChars = 16 << 10
/** A shorter line of a secret, as a bracket, is none. */
const leastLineChars = 6
const redacted = '[secret]'

/** Cuts what a stream says into lines, without the values of secrets. */
export function createLines(secrets: Iterable<Buffer>, onLine: (text: string) => void, most = mostLineChars) {
  const { redact, longest } = createRedactor(secrets)
  const decoder = new StringDecoder('utf8')
  let held = ''
  const take = (text: string) => {
    held += text
    const lines = held.split('\n')
    held = lines.pop() ?? ''
    for (const line of lines) onLine(redact(line.replace(/\r$/, '')).slice(0, 2 * most))
    // A line without an end is passed on in pieces; what may be the beginning of a secret waits for the rest.
    while (held.length > most + longest) {
      held = redact(held)
      onLine(held.slice(0, most))
      held = held.slice(most)
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

/** Takes the values of secrets out of texts; the longest of them has so many characters. */
export function createRedactor(secrets: Iterable<Buffer>): { redact: (text: string) => string; longest: number } {
  const values = secretTexts(secrets)
  return {
    redact: (text) => values.reduce((sum, value) => sum.replaceAll(value, redacted), text),
    longest: Math.max(0, ...values.map((value) => value.length)),
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
