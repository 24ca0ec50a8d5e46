import { describe, expect } from '@jest/globals'
import { basic } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { loginSequences } from './logins.ts'
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
  describe('to log in', () => {
    loginSequences(place, async (repository) => {
      const path = `/distributions/${encodeURIComponent(repository)}`
      expect((await stack.api('PATCH', path, { access: 'public' })).status).toBe(200)
    })
  })
})
