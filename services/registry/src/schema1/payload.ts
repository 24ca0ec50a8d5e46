import { createHash } from 'node:crypto'
import { type Digest, isForeignLayer, type Reference } from '@berth/oci'
import { emptyLayer } from './empty-layer.ts'

type Json = Record<string, unknown>

/** What cannot be said in schema 1; the message says why. */
export class NotConvertible extends Error {
  override name = 'NotConvertible'
}

const configTypes = ['application/vnd.docker.container.image.v1+json', 'application/vnd.oci.image.config.v1+json']

const saidAnew = new Set(['rootfs', 'history', 'id', 'parent', 'throwaway'])

/** Says an image in schema 1, not signed yet: docker's "Image Manifest Version 2, Schema 1". Throws `NotConvertible`. */
export function schema1Payload(image: { name: string; tag: string; layers: readonly Digest[]; config: Json }): string {
  const { name, tag, layers, config } = image
  const steps = stepsOf(config, layers)
  const entries: { blobSum: string; v1: Json }[] = []
  // What says where an image stands among others is said anew.
  const own = Object.fromEntries(Object.entries(config).filter(([field]) => !saidAnew.has(field)))
  let parent: string | undefined
  for (const [i, step] of steps.entries()) {
    const isTop = i === steps.length - 1
    const about = isTop ? own : stepImage(step.history)
    const link = parent === undefined ? {} : { parent }
    // Ids only have to tell images apart; made of what is in them, they are the same each time.
    const id = sha256(JSON.stringify([step.blobSum, parent ?? '', about]))
    entries.unshift({
      blobSum: step.blobSum,
      v1: { ...about, id, ...link, ...(step.blobSum === emptyLayer.digest ? { throwaway: true } : {}) },
    })
    parent = id
  }
  const architecture = typeof config.architecture === 'string' ? config.architecture : 'amd64'
  const fsLayers = entries.map(({ blobSum }) => ({ blobSum }))
  const history = entries.map(({ v1 }) => ({ v1Compatibility: JSON.stringify(v1) }))
  return JSON.stringify({ schemaVersion: 1, name, tag, architecture, fsLayers, history }, null, 3)
}

/** What an image is made of, if old clients can use it. Throws `NotConvertible`. */
export function partsOf(references: readonly Reference[]): { config: Digest; layers: Digest[] } {
  const config = references.find(({ role }) => role === 'config')
  if (!config || !configTypes.includes(config.mediaType)) throw new NotConvertible('it is not a container image')
  const layers = references.filter(({ role }) => role === 'layer')
  const odd = layers.find(({ mediaType }) => isForeignLayer(mediaType) || !/[.+](tar|gzip)$/.test(mediaType))
  if (odd) throw new NotConvertible(`old clients cannot use its layer of type ${odd.mediaType}`)
  return { config: config.digest, layers: layers.map(({ digest }) => digest) }
}

type Step = { blobSum: string; history: Json }

/** The steps that made the image, oldest first: as its history tells, or one for each layer when it tells nothing. */
function stepsOf(config: Json, layers: readonly string[]): Step[] {
  const told: unknown[] = Array.isArray(config.history) ? config.history : []
  const history = told.length > 0 ? told.map(toObject) : layers.map((): Json => ({}))
  const left = [...layers]
  const steps = history.map((entry) => {
    return { blobSum: entry.empty_layer === true ? emptyLayer.digest : (left.shift() ?? ''), history: entry }
  })
  if (left.length > 0 || steps.some(({ blobSum }) => blobSum === ''))
    throw new NotConvertible('its history does not fit its layers')
  if (steps.length === 0) throw new NotConvertible('it has no layers')
  return steps
}

function stepImage({ created, author, comment, created_by: command }: Json): Json {
  const kept = Object.entries({ created, author, comment }).filter(([, value]) => typeof value === 'string')
  return {
    ...Object.fromEntries(kept),
    container_config: { Cmd: typeof command === 'string' ? [command] : null },
  }
}

function toObject(value: unknown): Json {
  if (typeof value === 'object' && value !== null) return value as Json
  throw new NotConvertible('its history cannot be read')
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
