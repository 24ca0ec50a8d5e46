import { expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic, manifestTypes } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { grant, makeRobot, tokenFor } from './people.ts'

// What is rotated stays so, so the Berth is of this file alone.
const stack = withBerth({ own: true })

test('while the signing keys are rotated none of a thousand pulls fails, with tokens from before and from after', async () => {
  await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'rotation/app', '1')
  const robot = await makeRobot(stack, 'ci', 'rotation')
  await grant(stack, { robot: robot.user }, 'puller', 'namespace:rotation')
  const scope = 'repository:rotation/app:pull'
  const ofBefore = await tokenFor(stack, robot, scope)
  const kidOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
  const kids = new Set([kidOf(ofBefore)])
  const failed: number[] = []
  let begun = 0
  const pull = async (token: string) => {
    const headers = { authorization: `Bearer ${token}`, accept: manifestTypes }
    const answer = await fetch(`${stack.url}/v2/rotation/app/manifests/1`, { headers })
    await answer.body?.cancel()
    if (answer.status !== 200) failed.push(answer.status)
  }
  const client = async () => {
    while (begun < 1_000) {
      if (++begun === 300) expect((await stack.api('POST', '/keys/rotate')).status).toBe(200)
      // Every other one with what was issued before, as docker keeps a token for minutes.
      const token = begun % 2 === 0 ? ofBefore : await tokenFor(stack, robot, scope)
      kids.add(kidOf(token))
      await pull(token)
    }
  }
  await Promise.all(Array.from({ length: 8 }, client))
  expect(failed).toEqual([])
  expect(kids.size).toBe(2)
}, 60_000)
