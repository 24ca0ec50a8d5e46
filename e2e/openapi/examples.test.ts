import { mergeDocuments } from '@berth/standalone/origin'
import { expect, test } from '@jest/globals'
import { make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

type Operation = {
  operationId?: string
  responses?: Record<string, unknown>
  requestBody?: { content: { 'application/json'?: { example?: object } } }
}

const stack = withBerth({ own: true })

const { paths } = mergeDocuments() as unknown as { paths: Record<string, Record<string, Operation>> }
const examples = Object.entries(paths).flatMap(([path, item]) =>
  Object.entries(item).flatMap(([method, operation]) => {
    const example = operation.requestBody?.content['application/json']?.example
    const good = Number(Object.keys(operation.responses ?? {}).find((code) => code.startsWith('2')))
    return example ? [{ id: operation.operationId ?? '', method: method.toUpperCase(), path, example, good }] : []
  }),
)

test('every example of a request in the OpenAPI document can be sent as it is', async () => {
  // Whom the examples name.
  for (const name of ['ann', 'bob']) await make(stack, '/users', { name, password: `the password of ${name}` })
  await make(stack, '/remotes', { name: 'hub', url: 'https://registry.example', upstreamName: 'library/alpine' })
  await make(stack, '/repositories', { name: 'team/app' })
  const first = ['createRobot', 'createGroup', 'createNamespace']
  const inOrder = [...examples].sort((one, next) => rank(first, one.id) - rank(first, next.id))
  expect(inOrder.length).toBeGreaterThan(7)
  for (const { id, method, path, example, good } of inOrder) {
    expect([id, path]).toEqual([id, expect.not.stringContaining('{')])
    const { status, body } = await stack.api(method, path, example)
    expect([id, status, body]).toEqual([id, good, expect.anything()])
  }
}, 60_000)

function rank(first: readonly string[], id: string): number {
  const place = first.indexOf(id)
  return place < 0 ? first.length : place
}
