import { isInjected } from './known-variables.ts'
import { parseNetwork } from './networks.ts'
import { noteSecretSetting } from './secret-values.ts'
import { givenValue } from './setting-files.ts'
import { StartupError } from './startup-error.ts'

/** One setting: the variable it comes from, how to read it, and its value when the variable is absent. */
export type Setting<T> = {
  env: string
  read: (text: string) => T
  /** Says what a good value looks like, for the error message. */
  wants: string
  fallback: T | undefined
  required: boolean
  secret: boolean
}

type Options<T> = { fallback?: T; secret?: boolean }
type Shape = Record<string, Setting<unknown>>
export type ConfigOf<S extends Shape> = { [K in keyof S]: S[K] extends Setting<infer T> ? T : never }

class BadValue extends Error {}
const leastKeyBytes = 32

function setting<T>(env: string, wants: string, read: (text: string) => T, options: Options<T>): Setting<T> {
  const { fallback, secret = false } = options
  return { env, wants, read, fallback, required: !('fallback' in options), secret }
}

/** A text that is not empty. Without `fallback` the variable must be set. */
export function text(env: string, options: Options<string> = {}): Setting<string> {
  return setting(env, 'a text', (value) => value, options)
}

/** A text that may be absent. */
export function optionalText(env: string, options: { secret?: boolean } = {}): Setting<string | undefined> {
  return setting<string | undefined>(env, 'a text', (value) => value, { ...options, fallback: undefined })
}

/** A key that others must not guess, of `leastKeyBytes` at least. */
export function secretKey(env: string, options: Options<string> = {}): Setting<string> {
  const read = (value: string) => {
    if (Buffer.byteLength(value) < leastKeyBytes) throw new BadValue()
    return value
  }
  const wants = `a secret of at least ${leastKeyBytes} bytes, as openssl rand -base64 32 makes it`
  return setting(env, wants, read, { ...options, secret: true })
}

/** What `read` makes of a text; `undefined` says that it is not what is wanted. */
export function parsed<T>(
  env: string,
  wants: string,
  read: (text: string) => T | undefined,
  options: Options<T>,
): Setting<T> {
  const readOrThrow = (value: string) => {
    const found = read(value)
    if (found === undefined) throw new BadValue()
    return found
  }
  return setting(env, wants, readOrThrow, options)
}

/** A whole number within bounds, both included. */
export function integer(
  env: string,
  bounds: { min: number; max: number },
  options: Options<number> = {},
): Setting<number> {
  const read = (value: string) => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < bounds.min || number > bounds.max) throw new BadValue()
    return number
  }
  return setting(env, `a whole number from ${bounds.min} to ${bounds.max}`, read, options)
}

/** As `integer`, but the variable may be absent. */
export function optionalInteger(env: string, bounds: { min: number; max: number }): Setting<number | undefined> {
  return integer(env, bounds, { fallback: undefined as unknown as number })
}

/** `true` or `false`. */
export function flag(env: string, options: Options<boolean> = {}): Setting<boolean> {
  const read = (value: string) => {
    if (value !== 'true' && value !== 'false') throw new BadValue()
    return value === 'true'
  }
  return setting(env, 'true or false', read, options)
}

/** A URL with one of the protocols, without a trailing slash. Credentials in it make the setting a secret. */
export function url(env: string, protocols: readonly string[], options: Options<string> = {}): Setting<string> {
  const read = (value: string) => {
    if (!URL.canParse(value) || !protocols.includes(new URL(value).protocol.replace(/:$/, ''))) throw new BadValue()
    return value.replace(/\/+$/, '')
  }
  return setting(env, `a URL that begins with ${protocols.map((protocol) => `${protocol}://`).join(' or ')}`, read, {
    secret: true,
    ...options,
  })
}

/** As `url`, but the variable may be absent. */
export function optionalUrl(env: string, protocols: readonly string[]): Setting<string | undefined> {
  return url(env, protocols, { fallback: undefined as unknown as string })
}

/** Networks, as `10.0.0.0/8,2001:db8::/32`; a single address is one too. */
export function networks(env: string, options: Options<readonly string[]> = {}): Setting<readonly string[]> {
  const read = (value: string) => {
    const list = value.split(',').map((one) => one.trim())
    if (!list.every((one) => parseNetwork(one))) throw new BadValue()
    return list
  }
  return setting(env, 'a list of networks, as 10.0.0.0/8,2001:db8::/32', read, options)
}

/** One of a few words. */
export function choice<const T extends string>(env: string, words: readonly T[], options: Options<T> = {}): Setting<T> {
  const read = (value: string) => {
    const word = words.find((candidate) => candidate === value)
    if (word === undefined) throw new BadValue()
    return word
  }
  return setting<T>(env, `one of ${words.join(', ')}`, read, options)
}

/**
 * Reads every setting of a shape from the environment, secrets also from files. An empty variable counts as absent.
 * Throws one `StartupError` that lists all faults; the values of secrets are not repeated.
 */
export function readConfig<S extends Shape>(shape: S, env: NodeJS.ProcessEnv): ConfigOf<S> {
  const faults: string[] = []
  const values = Object.entries(shape).map(([key, wanted]) => {
    const { value, fault } = givenValue(wanted.env, env)
    if (fault !== undefined) {
      faults.push(fault)
      return [key, undefined] as const
    }
    if (value === undefined || value === '' || isInjected(wanted.env, value)) {
      if (wanted.required) faults.push(`${wanted.env} is not set; it takes ${wanted.wants}`)
      return [key, wanted.fallback] as const
    }
    if (wanted.secret) noteSecretSetting(value)
    try {
      return [key, wanted.read(value)] as const
    } catch (error) {
      if (!(error instanceof BadValue)) throw error
      faults.push(`${wanted.env}${wanted.secret ? '' : `=${value}`} is not ${wanted.wants}`)
      return [key, undefined] as const
    }
  })
  if (faults.length > 0) throw new StartupError(faults.join('; '), 'correct the environment and start again')
  return Object.fromEntries(values) as ConfigOf<S>
}
