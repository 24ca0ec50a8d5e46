import { CORE_SCHEMA, load } from 'js-yaml'
import type { ChartFolder } from './unpack-chart.ts'

const mostImages = 1_000
const reference = /^[a-z0-9][\w.:/@+-]{0,499}$/i

/**
 * The images that the values of a chart name, sorted: `image: nginx:1`, and `image: {registry, repository, tag, digest}` as charts mostly
 * have it, also where several of these stand together. Without a tag it is the `appVersion` of the chart, as their templates do it. What values only some templates know is not found.
 */
export function imagesOfValues({ values = '', chart = '' }: ChartFolder): string[] {
  const version = textOf(mapping(read(chart))?.appVersion)
  const found = new Set<string>()
  // An anchor may be named again and again: each object is looked at once.
  const seen = new Set<object>()
  const add = (image: string | undefined) => {
    if (image === undefined || image.includes('://') || !reference.test(image)) return
    if (found.size < mostImages) found.add(image)
  }
  const look = (value: unknown) => {
    if (typeof value !== 'object' || value === null || seen.has(value)) return
    seen.add(value)
    // A list of images has others for keys: `images: {web: {repository, tag}}`.
    if ('repository' in value && ('tag' in value || 'digest' in value)) add(imageOf(value, {}, version))
    for (const [key, inner] of Object.entries(value)) {
      if (/image$/i.test(key)) add(imageOf(inner, value, version))
      look(inner)
    }
  }
  look(read(values))
  return [...found].sort()
}

/** What stands under a key that ends in `image`; `beside` is what that key stands in. */
function imageOf(value: unknown, beside: object, version: string | undefined): string | undefined {
  if (typeof value === 'string' && value !== '') return withTag(value, textOf((beside as { tag?: unknown }).tag))
  const { registry, repository, tag, digest } = mapping(value) ?? {}
  const path = textOf(repository)
  if (path === undefined) return undefined
  const host = textOf(registry)
  const name = host === undefined ? path : `${host}/${path}`
  const pinned = textOf(digest)
  return pinned === undefined ? withTag(name, textOf(tag) ?? version) : `${name}@${pinned}`
}

function withTag(name: string, tag: string | undefined): string {
  const hasOne = name.includes('@') || /:[^/]*$/.test(name)
  return hasOne || tag === undefined ? name : `${name}:${tag}`
}

function mapping(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}

/** Tags are often numbers to YAML. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Values that are no YAML name no images: the chart is not installed either. */
function read(text: string): unknown {
  try {
    return load(text, { schema: CORE_SCHEMA })
  } catch {
    return undefined
  }
}
