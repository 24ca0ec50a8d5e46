import { expect, test } from '@jest/globals'
import { Lifecycle } from './lifecycle.ts'
import { createLogger } from './logger.ts'

const log = createLogger({ service: 'test', silent: true })

function recording() {
  const seen: string[] = []
  const part = (name: string) => async () => {
    seen.push(`start ${name}`)
    return () => void seen.push(`stop ${name}`)
  }
  return { seen, part }
}

test('parts stop in the opposite order of their start, once', async () => {
  const { seen, part } = recording()
  const life = new Lifecycle(log)
  await life.add('a', part('a'))
  life.onStop('b', () => void seen.push('stop b'))
  await life.add('c', part('c'))
  await Promise.all([life.stop(), life.stop()])
  await life.stop()
  expect(seen).toEqual(['start a', 'start c', 'stop c', 'stop b', 'stop a'])
})

test('when a part does not start, those before it are stopped and the error goes on', async () => {
  const { seen, part } = recording()
  const life = new Lifecycle(log)
  await life.add('a', part('a'))
  await expect(life.add('b', () => Promise.reject(new Error('no port')))).rejects.toThrow('no port')
  expect(seen).toEqual(['start a', 'stop a'])
})

test('a part that does not stop keeps no other from it', async () => {
  const { seen, part } = recording()
  const life = new Lifecycle(log)
  await life.add('a', part('a'))
  await life.add('b', async () => () => Promise.reject(new Error('stuck')))
  await life.add('c', part('c'))
  await life.stop()
  expect(seen).toEqual(['start a', 'start c', 'stop c', 'stop a'])
})

test('a part that does not stop is named, and the others wait for it', async () => {
  const warnings: unknown[] = []
  const named = Promise.withResolvers<void>()
  const told = { ...log, warn: (...said: unknown[]) => (warnings.push(said), named.resolve()) }
  const life = new Lifecycle(told, { slowMs: 5 })
  const held = Promise.withResolvers<void>()
  const stopped: string[] = []
  life.onStop('first', () => void stopped.push('first'))
  life.onStop('slow', () => held.promise)
  const stopping = life.stop()
  await named.promise
  expect([warnings, stopped]).toEqual([[['a part takes long to stop', { part: 'slow' }]], []])
  held.resolve()
  await stopping
  expect(stopped).toEqual(['first'])
})
