import { readFileSync, writeFileSync } from 'node:fs'
import specs from '@asyncapi/specs'
import { describe, expect, test } from '@jest/globals'
import { Ajv } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { allEvents, asyncApiDocument, eventsTable, exampleOf } from './describe-events.ts'
import { addFormats, typeOf } from './events/event.ts'

const folder = new URL('../../../docs/reference/', import.meta.url)

const heading = `# Events

What Berth announces on NATS JetStream. Every message is a CloudEvent in JSON; [asyncapi.json](asyncapi.json) has the schemas. Events
are kept for seven days; a stream that lost its store is filled again. Within version 1 fields are only ever added.

`

const documents = {
  'asyncapi.json': () => `${JSON.stringify(asyncApiDocument(), null, 2)}\n`,
  'events.md': () => `${heading}${eventsTable()}\n`,
}

for (const [name, write] of Object.entries(documents)) {
  test(`docs/reference/${name} tells the events as they are (BERTH_TEST_WRITE_DOCS=true writes it)`, () => {
    const file = new URL(name, folder)
    if (process.env.BERTH_TEST_WRITE_DOCS === 'true') writeFileSync(file, write())
    expect(readFileSync(file, 'utf8')).toBe(write())
  })
}

const document = asyncApiDocument() as { components: { messages: Record<string, { payload: object }> } }
const validator = addFormats(new Ajv2020({ allowUnionTypes: true }))

test('it is a document of AsyncAPI 3', () => {
  const ajv = new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false })
  const schema = specs.schemas['3.0.0'] as object
  expect(ajv.validate(schema, document) || ajv.errorsText()).toBe(true)
  expect(ajv.validate(schema, { ...document, servers: { nats: {} } })).toBe(false)
})

describe.each(allEvents.map((kind) => [typeOf(kind), kind] as const))('%s', (type, kind) => {
  const payload = document.components.messages[type]?.payload ?? {}
  const example = exampleOf(kind)

  test('has an example that its maker may announce, and that a subscriber may read', () => {
    expect(validator.validate(kind.schema, example.data) || validator.errorsText()).toBe(true)
    expect(validator.validate(payload, example) || validator.errorsText()).toBe(true)
  })

  test('may have more fields one day, at every depth', () => {
    const grown = withMore(example)
    expect(validator.validate(payload, grown) || validator.errorsText()).toBe(true)
    expect(JSON.stringify(payload)).not.toContain('"additionalProperties":false')
  })
})

/** With a field that nobody knows in each object. */
function withMore(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withMore)
  if (typeof value !== 'object' || value === null) return value
  return { ...Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withMore(one)])), ofVersionTwo: 'x' }
}
