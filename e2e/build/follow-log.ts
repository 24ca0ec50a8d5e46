import { basic } from '../berth/basic.ts'
import type { Berth } from '../berth/berth.ts'

type Line = { id: string; at: string; step: string | null; stream: string; text: string }

/** Follows the log of a build to its end, as a browser would: from the beginning, or from behind a line. */
export async function followLog(stack: Berth, build: string, after?: string): Promise<{ lines: Line[]; end: unknown }> {
  const answer = await fetch(`${stack.url}/api/v1/builds/${build}/log`, {
    headers: {
      authorization: basic(stack),
      accept: 'text/event-stream',
      ...(after === undefined ? {} : { 'last-event-id': after }),
    },
  })
  const lines: Line[] = []
  let end: unknown
  for (const block of (await answer.text()).split('\n\n')) {
    const fields = new Map(
      block
        .split('\n')
        .map((line): [string, string] => [line.split(': ')[0] ?? '', line.slice(line.indexOf(': ') + 2)]),
    )
    const data = JSON.parse(fields.get('data') ?? 'null')
    if (fields.get('event') === 'line') lines.push({ id: fields.get('id') ?? '', ...data })
    if (fields.get('event') === 'end') end = data
  }
  return { lines, end }
}
