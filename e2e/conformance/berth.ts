import { type StackOptions, startTestStack } from '../berth/stack.ts'
import { abilities, type Target } from './wire.ts'

/** Berth does all of it. */
export const everything = Object.fromEntries(abilities.map((ability) => [ability, true])) as Target['supports']

/** Starts Berth for the suite, with the administrator's Basic credentials on every request. */
export async function startBerthTarget(
  options: StackOptions = {},
): Promise<{ target: Target; stop: () => Promise<void> }> {
  const stack = await startTestStack(options)
  const authorization = `Basic ${btoa(`${stack.user}:${stack.password}`)}`
  return {
    target: {
      name: 'berth',
      url: stack.url,
      headers: { authorization },
      supports: everything,
      ...(options.external?.s3 ? { chunkMinLength: String(5 << 20) } : {}),
    },
    stop: () => stack.stop(),
  }
}
