import { mergeDocuments } from '@berth/standalone/origin'
import { expect, test } from '@jest/globals'
import { make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

type Operation = {
  operationId?: string
  requestBody?: { content: { 'application/json'?: { example?: object } } }
}

const stack = withBerth({ own: true })

const { paths } = mergeDocuments() as unknown as { paths: Record<string, Record<string, Operation>> }
const examples = Object.entries(paths).flatMap(([path, item]) =>
  Object.entries(item).flatMap(([method, operation]) => {
    const example = operation.requestBody?.content['application/json']?.example
    return example ? [{ id: operation.operationId ?? '', method: method.toUpperCase(), path, example }] : []
  }),
)

test('every example of a request in the OpenAPI document can be sent as it is', async () => {
  // Whom the examples name.
  for (const name of ['ann', 'bob']) await make(stack, '/users', { name, password: `the password of ${name}` })
  const first = ['createRobot', 'createGroup', 'createNamespace']
  const inOrder = [...examples].sort((one, next) => rank(first, one.id) - rank(first, next.id))
  expect(inOrder.length).toBeGreaterThan(7)
  for (const { id, method, path, example } of inOrder) {
    expect([id, path]).toEqual([id, expect.not.stringContaining('{')])
    const { status, body } = await stack.api(method, path, example)
    expect([id, status, body]).toEqual([id, 201, expect.anything()])
  }
}, 60_000)

function rank(first: readonly string[], id: string): number {
  const place = first.indexOf(id)
  return place < 0 ? first.length : place
}
