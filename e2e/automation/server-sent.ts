import { basicOf } from '../access/people.ts'
import type { Berth } from '../berth/berth.ts'
import { until } from '../berth/processes.ts'
import type { Login } from '../clients/client.ts'

// oxlint-disable-next-line typescript/no-explicit-any -- what is in an event its test knows
type Sent = { id: string; event: string; data: Record<string, any> }
export type Listening = {
  heard: Sent[]
  /** The last id that came, with an event or alone. */
  lastId(): string
  /** Waits for an event of a type that `matches`, and answers it. */
  untilHeard(type: string, matches?: (data: Sent['data']) => boolean): Promise<Sent>
  ended: Promise<void>
  stop(): void
}

/** Reads server-sent events of the API as somebody, until it is stopped. Throws unless the answer is 200. */
export async function listenAs(berth: Berth, login: Login, path: string, lastEventId?: string): Promise<Listening> {
  const over = new AbortController()
  const answer = await fetch(`${berth.url}/api/v1${path}`, {
    headers: {
      authorization: basicOf(login),
      ...(lastEventId === undefined ? {} : { 'last-event-id': lastEventId }),
    },
    signal: over.signal,
  })
  if (answer.status !== 200 || !answer.body) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  const heard: Sent[] = []
  let lastId = ''
  const begun = Promise.withResolvers<void>()
  const read = async (body: ReadableStream<Uint8Array>) => {
    let text = ''
    for await (const chunk of body.pipeThrough(new TextDecoderStream() as never) as unknown as AsyncIterable<string>) {
      const blocks = (text + chunk).split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s, 2) as [string, string]))
        lastId = fields.get('id') ?? lastId
        begun.resolve()
        const [event, data] = [fields.get('event'), fields.get('data')]
        if (event !== undefined && data !== undefined) heard.push({ id: lastId, event, data: JSON.parse(data) })
      }
    }
  }
  // Stopping breaks the reading off; what breaks it off before it has begun is told to the caller.
  const ended = read(answer.body).catch((error: unknown) => begun.reject(error))
  await begun.promise
  return {
    heard,
    lastId: () => lastId,
    ended,
    untilHeard: (type, matches = () => true) =>
      until(`${login.user} hears ${type}`, async () =>
        heard.find(({ event, data }) => event === `dev.berth.${type}.v1` && matches(data.data)),
      ),
    stop: () => over.abort(),
  }
}
