import { afterAll, beforeAll, describe } from '@jest/globals'
import { basic } from '../berth/requests.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'
import { pullSequences } from './pulls.ts'
import { pushSequences } from './pushes.ts'

describe('what clients send, request by request', () => {
  let stack: TestStack
  beforeAll(async () => {
    stack = await startTestStack()
  }, 60_000)
  afterAll(() => stack?.stop(), 30_000)
  const place = () => ({ url: stack.url, authorization: basic(stack) })

  describe('to push', () => {
    pushSequences(place)
  })
  describe('to pull', () => {
    pullSequences(place)
  })
})
