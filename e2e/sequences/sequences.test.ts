import { describe } from '@jest/globals'
import { basic } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { pullSequences } from './pulls.ts'
import { pushSequences } from './pushes.ts'

describe('what clients send, request by request', () => {
  const stack = withBerth()
  const place = () => ({ url: stack.url, authorization: basic(stack) })

  describe('to push', () => {
    pushSequences(place)
  })
  describe('to pull', () => {
    pullSequences(place)
  })
})
