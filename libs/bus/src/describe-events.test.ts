import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { asyncApiDocument, eventsTable } from './describe-events.ts'

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
