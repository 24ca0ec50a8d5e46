import { readApiDocument, version } from '@berth/service'
import { serviceNames } from './routes.ts'

type Document = { paths: Record<string, unknown>; components?: Record<string, Record<string, unknown>> }
let merged: Record<string, unknown> | undefined

/** The OpenAPI documents of the six services as one. Parts of the same name are prefixed where they differ. */
export function mergeDocuments(): Record<string, unknown> {
  merged ??= merge()
  return merged
}

function merge(): Record<string, unknown> {
  const paths: Record<string, unknown> = {}
  const components: Record<string, Record<string, unknown>> = {}
  for (const service of serviceNames) {
    const document = readApiDocument(
      new URL(`../../../services/${service}/openapi.yaml`, import.meta.url),
    ) as unknown as Document
    const own = renameParts(document, service, components)
    Object.assign(paths, own.paths)
    for (const [kind, parts] of Object.entries(own.components ?? {})) Object.assign((components[kind] ??= {}), parts)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Berth',
      version,
      description: 'A self-hosted container registry hub. Images are served under /v2.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/api/v1' }],
    security: [{ basic: [] }, { bearer: [] }],
    paths,
    components: {
      ...components,
      securitySchemes: { basic: { type: 'http', scheme: 'basic' }, bearer: { type: 'http', scheme: 'bearer' } },
    },
  }
}

/** Gives the parts of a document that differ from parts of the same name seen before a name of their own. */
function renameParts(document: Document, service: string, seen: Record<string, Record<string, unknown>>): Document {
  let text = JSON.stringify(document)
  for (const [kind, parts] of Object.entries(document.components ?? {})) {
    for (const [name, part] of Object.entries(parts)) {
      const other = seen[kind]?.[name]
      if (other === undefined || JSON.stringify(other) === JSON.stringify(part)) continue
      const renamed = `${service}${name[0]?.toUpperCase()}${name.slice(1)}`
      text = text.replaceAll(`"#/components/${kind}/${name}"`, `"#/components/${kind}/${renamed}"`)
      const reread = JSON.parse(text) as Document
      const group = reread.components?.[kind] ?? {}
      group[renamed] = group[name]
      delete group[name]
      text = JSON.stringify(reread)
    }
  }
  return JSON.parse(text) as Document
}
