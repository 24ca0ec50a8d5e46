import type { ApiRequest } from './api.ts'
import { Problem } from './problem.ts'

type Streaming = Pick<ApiRequest, 'principal' | 'response' | 'signal'>

/** Counts the streams that each account has open here: each asks again and again who reads it. What it makes throws 429. */
export function createStreamCount(most: number, whatIsWatched: string): (request: Streaming) => void {
  const streams = new Map<string, number>()
  return ({ principal: { id }, response, signal }) => {
    // It has left already, and will not be heard to.
    if (signal.aborted) return
    const open = streams.get(id) ?? 0
    if (open >= most)
      throw new Problem(
        429,
        'too_many_streams',
        `You watch ${whatIsWatched} by ${most} streams already, which is the most.`,
        {
          hint: 'Close those that nobody looks at, or ask now and then.',
          headers: { 'retry-after': '5' },
        },
      )
    streams.set(id, open + 1)
    response.once('close', () => {
      const left = (streams.get(id) ?? 1) - 1
      if (left > 0) streams.set(id, left)
      else streams.delete(id)
    })
  }
}
