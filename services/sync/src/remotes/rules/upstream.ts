import { BadPattern, isRepositoryName, parseRepositoryPattern, repositoryNameLimit } from '@berth/oci'
import { badField } from '@berth/service'
import type { RemoteBody } from '../fields.ts'

/** Checks what of the registry is meant: one repository, several and where they go, or the host alone. Throws 400. */
export function checkUpstream({ upstreamName, upstreamNames = [], targetPrefix }: RemoteBody): void {
  const isOne = upstreamName !== undefined && upstreamName !== null
  if (isOne && upstreamNames.length > 0)
    throw badField('upstreamNames', 'cannot be combined with upstreamName', 'Send one of the two.')
  if (isOne) {
    if (!isRepositoryName(upstreamName))
      throw badField(
        'upstreamName',
        'is not a repository name',
        'Write it as the upstream does, such as library/alpine, without host and tag.',
      )
  }
  if (upstreamNames.length === 0) {
    if (targetPrefix !== undefined && targetPrefix !== null)
      throw badField('targetPrefix', 'is for upstreamNames only', 'A sync of one repository names its target itself.')
    return
  }
  if (targetPrefix === undefined || targetPrefix === null)
    throw badField(
      'targetPrefix',
      'is missing while upstreamNames is given',
      'Send it; "" keeps the names as they are.',
    )
  if (targetPrefix !== '' && !isRepositoryName(targetPrefix))
    throw badField('targetPrefix', 'is not the beginning of a repository name', 'Write it as mirror or mirror/hub.')
  checkNames(upstreamNames, targetPrefix)
}

function checkNames(names: readonly string[], targetPrefix: string): void {
  names.forEach((name, i) => {
    const field = `upstreamNames[${i}]`
    const { isExact } = patternOf(field, name, parseRepositoryPattern, 'Use *, ?, [a-z] and the characters of names.')
    if (isExact && targetPrefix.length + 1 + name.length > repositoryNameLimit)
      throw badField(field, `is longer than ${repositoryNameLimit} characters with its prefix`, 'Shorten targetPrefix.')
  })
}

function patternOf<T>(field: string, pattern: string, parse: (text: string) => T, remedy: string): T {
  try {
    return parse(pattern)
  } catch (error) {
    if (error instanceof BadPattern)
      throw badField(field, `"${pattern}" is not a valid pattern: ${error.message}`, remedy)
    throw error
  }
}

// Words as Go has them for GOOS and GOARCH, and variants as v8 (image-spec, image-index.md "platform").
const platform = /^[a-z0-9]{1,32}\/[a-z0-9_]{1,32}(?:\/[a-z0-9._-]{1,32})?$/

/** Checks the platforms to take. Throws 400. */
export function checkPlatforms(platforms: readonly string[]): void {
  platforms.forEach((text, i) => {
    if (!platform.test(text))
      throw badField(
        `platforms[${i}]`,
        `"${text}" is not a platform`,
        'Write it as linux/amd64, or linux/arm64/v8 with a variant.',
      )
  })
}
