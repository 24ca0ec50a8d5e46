import { isRepositoryName, isTag } from '@berth/oci'
import { badField } from '@berth/service'

/** What is asked for, but for the context. */
export type BuildForm = {
  repository: string
  tags: string[]
  containerfile: string
  buildArgs: Map<string, string>
  labels: Map<string, string>
  target: string | null
  platforms: string[]
  noCache: boolean
  network: 'none' | 'egress'
  secrets: Map<string, string>
  sourceDateEpoch: number
}

export const containerfileBytes = 256 << 10
/** The most bytes of any other field. */
export const fieldBytes = 64 << 10
/** Of all fields together, with a Containerfile and secrets of their full size. */
export const mostFields = 400
/** Of all fields together, which are held in memory. */
const mostFormBytes = 4 << 20
const mostOfAKind = 100
const mostTags = 20
const mostPlatforms = 8
const reservedLabels = 'io.berth.build.'

const variable = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/
const labelName = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,253}[A-Za-z0-9])?$/
const secretId = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/
const stage = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/
const platform = /^[a-z0-9]{1,20}\/[a-z0-9_]{1,20}(\/v[0-9]{1,2}(\.[0-9]{1,2})?)?$/

/** Makes an empty form, and takes fields into it, one by one. */
export function createForm(): { take: (name: string, value: string) => void; end: () => BuildForm } {
  const once = new Map<string, string>()
  const many = { tag: new Set<string>(), platform: new Set<string>() }
  const pairs = {
    buildArg: new Map<string, string>(),
    label: new Map<string, string>(),
    secret: new Map<string, string>(),
  }
  let bytes = 0
  const take = (name: string, value: string) => {
    bytes += name.length + Buffer.byteLength(value)
    if (bytes > mostFormBytes)
      throw badField(name, `is more than fits: all fields together have more than ${mostFormBytes} bytes`, 'Send less.')
    const rule = rules[name]
    if (!rule) throw unknownField(name)
    rule(value)
    if (name === 'tag' || name === 'platform') return addOnce(name, value, many[name])
    if (name === 'buildArg' || name === 'label' || name === 'secret') return addPair(name, value, pairs[name])
    if (once.has(name)) throw badField(name, 'comes twice', 'Send it once.')
    once.set(name, value)
  }
  const end = (): BuildForm => {
    const required = (name: string, hint: string) => {
      const value = once.get(name)
      if (value === undefined) throw badField(name, 'is missing', hint)
      return value
    }
    return {
      repository: required('repository', 'Name the repository that the image goes into.'),
      containerfile: required('containerfile', 'Send the text of the Containerfile, before the context.'),
      tags: many.tag.size > 0 ? [...many.tag] : ['latest'],
      platforms: [...many.platform],
      buildArgs: pairs.buildArg,
      labels: pairs.label,
      secrets: pairs.secret,
      target: once.get('target') ?? null,
      noCache: once.get('noCache') === 'true',
      network: once.get('network') === 'egress' ? 'egress' : 'none',
      sourceDateEpoch: Number(once.get('sourceDateEpoch') ?? 0),
    }
  }
  return { take, end }
}

/** 400 for a field that means nothing. */
export function unknownField(name: string): Error {
  return badField(
    isStorable(name) && name.length <= 100 ? name : 'the name of a field',
    'is no field of a build',
    `There are ${[...Object.keys(rules), 'context'].join(', ')}.`,
  )
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

function addOnce(name: 'tag' | 'platform', value: string, into: Set<string>): void {
  const most = name === 'tag' ? mostTags : mostPlatforms
  if (into.has(value)) throw badField(name, `${value} comes twice`, 'Send each once.')
  if (into.size >= most) throw badField(name, `comes more than ${most} times`, `Send ${most} at most.`)
  into.add(value)
}

function addPair(name: string, value: string, into: Map<string, string>): void {
  const at = value.indexOf('=')
  const key = value.slice(0, at)
  if (into.has(key)) throw badField(name, `${key} comes twice`, 'Send each once.')
  if (into.size >= mostOfAKind) throw badField(name, `comes more than ${mostOfAKind} times`, 'Send fewer.')
  into.set(key, value.slice(at + 1))
}

type Rule = (value: string) => void

function matching(field: string, test: (value: string) => boolean, message: string, hint: string): Rule {
  return (value) => {
    if (!isStorable(value)) throw badField(field, 'holds a character that cannot be stored', 'Leave out U+0000.')
    // What is secret is not said again.
    if (!test(value)) throw badField(field, message, hint)
  }
}

/** `KEY=VALUE`, of which only the key has a grammar. */
function pair(key: RegExp): (value: string) => boolean {
  return (value) => value.includes('=') && key.test(value.slice(0, value.indexOf('=')))
}

const rules: Readonly<Record<string, Rule>> = {
  repository: matching('repository', isRepositoryName, 'is no name of a repository', 'As team/app, in lower case.'),
  tag: matching('tag', isTag, 'is no tag', 'Letters, digits, "_", "." and "-", 128 at most, as 1.2.3.'),
  containerfile: matching('containerfile', (text) => text.trim() !== '', 'is empty', 'Send the text of the file.'),
  buildArg: matching('buildArg', pair(variable), 'is not NAME=VALUE', 'As VERSION=1.2.'),
  label: matching(
    'label',
    (value) => pair(labelName)(value) && !value.startsWith(reservedLabels),
    `is not NAME=VALUE, or its name begins with ${reservedLabels}`,
    'As org.opencontainers.image.title=app.',
  ),
  target: matching('target', (value) => stage.test(value), 'is no name of a stage', 'As it stands behind AS in FROM.'),
  platform: matching('platform', (value) => platform.test(value), 'is no platform', 'As linux/amd64 or linux/arm/v7.'),
  noCache: matching('noCache', (value) => value === 'true' || value === 'false', 'is no boolean', 'true or false.'),
  network: matching(
    'network',
    (value) => value === 'none' || value === 'egress',
    'is neither none nor egress',
    'none, or egress where that is allowed.',
  ),
  secret: matching(
    'secret',
    pair(secretId),
    'is not ID=VALUE',
    'As npm=…, which RUN --mount=type=secret,id=npm reads.',
  ),
  sourceDateEpoch: matching(
    'sourceDateEpoch',
    (value) => /^\d{1,11}$/.test(value),
    'is no time',
    'Seconds since 1970, as git log -1 --pretty=%ct tells them.',
  ),
}
