import type { CloudEvent } from '@berth/bus'
import type { WebhookFields } from './webhook.ts'

/** What is sent of an event: headers of its content, and the body. */
export type Rendered = { headers: Record<string, string>; body: string }

/** An event in the form that a webhook wants (CloudEvents 1.0, "HTTP Protocol Binding"; for chat services, a line of text). */
export function render(event: CloudEvent, { format, mode }: Pick<WebhookFields, 'format' | 'mode'>): Rendered {
  if (format === 'slack') return json({ text: describe(event) })
  if (format === 'teams') return json(teamsMessage(describe(event)))
  if (mode === 'structured')
    return { headers: { 'content-type': 'application/cloudevents+json; charset=utf-8' }, body: JSON.stringify(event) }
  const { data, datacontenttype, ...attributes } = event
  const headers = Object.entries(attributes).map(([name, value]) => [`ce-${name}`, asHeader(value)])
  return { headers: { 'content-type': datacontenttype, ...Object.fromEntries(headers) }, body: JSON.stringify(data) }
}

function json(body: object): Rendered {
  return { headers: { 'content-type': 'application/json; charset=utf-8' }, body: JSON.stringify(body) }
}

/** HTTP Protocol Binding, 3.1.3.2: what is not printable ASCII, spaces, quotes and percent signs are percent-encoded. */
function asHeader(value: string): string {
  return value
    .toWellFormed()
    .replaceAll(/[^\x21\x23\x24\x26-\x7e]/gu, (character) =>
      Buffer.from(character).toString('hex').toUpperCase().replaceAll(/../g, '%$&'),
    )
}

type Data = Record<string, unknown>
const shown = ['repository', 'name', 'basePath', 'remote', 'schedule', 'webhook', 'kind']
const details = ['tag', 'number', 'version', 'reference', 'code', 'reason'] as const

/** What happened in a line, for people. */
function describe({ type, actor, data }: CloudEvent): string {
  const [, tail = type] = /^dev\.berth\.(.+)\.v\d+$/.exec(type) ?? []
  const told = data as Data
  const about = shown.map((key) => told[key]).find((value) => typeof value === 'string')
  const more = details.flatMap((key) => (isShort(told[key]) ? [`${key} ${told[key]}`] : []))
  return [
    `Berth: ${tail}`,
    ...(about === undefined ? [] : [about]),
    ...(more.length > 0 ? [`(${more.join(', ')})`] : []),
    ...(actor === undefined ? [] : [`by ${actor}`]),
  ].join(' ')
}

function isShort(value: unknown): value is string | number {
  return typeof value === 'number' || (typeof value === 'string' && value !== '' && value.length <= 400)
}

/** As incoming webhooks of Teams take it: an Adaptive Card. */
function teamsMessage(text: string): object {
  const content = {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    body: [{ type: 'TextBlock', text, wrap: true }],
  }
  return { type: 'message', attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', content }] }
}
