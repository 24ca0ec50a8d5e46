import { readFileSync } from 'node:fs'
import { load } from 'js-yaml'

export type Operation = {
  operationId?: string
  /** Who may call it (`api-access.ts`). */
  'x-access'?: unknown
  /** What it changes, where neither its path nor `x-access` says that (`audit-subject.ts`). */
  'x-audit'?: string
  /** That its handler reads the body by itself, piece by piece: nothing of it is read or compared with the document before. */
  'x-streamed'?: boolean
  responses?: Record<string, unknown>
  requestBody?: Body
  security?: Record<string, string[]>[]
}
type Components = Record<string, Record<string, unknown>>
export type ApiDocument = {
  info: { title: string }
  paths: Record<string, Record<string, Operation>>
  components?: Components
  [key: string]: unknown
}

const methods = ['head', 'get', 'put', 'post', 'patch', 'delete'] as const

/**
 * Reads a service's OpenAPI document (YAML), and completes it with what all of them share: Problem, Task and the parameters of
 * lists (`openapi/common.yaml`), a problem as the answer to whatever else goes wrong, and that a login is needed where it is.
 * Query values may hold `/` and `:` as they are: names of repositories and resources do, and RFC 3986 §3.4 allows it; the
 * validator would refuse them without `allowReserved`. Throws when a document has a part of its own under a shared name.
 */
export function readApiDocument(file: URL): ApiDocument {
  const document = readYaml(file) as ApiDocument
  const { components: shared } = readYaml(new URL('../openapi/common.yaml', import.meta.url)) as {
    components: Components
  }
  const components: Components = { ...document.components }
  for (const [kind, parts] of Object.entries(shared)) {
    const taken = Object.keys(parts).filter((name) => components[kind]?.[name] !== undefined)
    if (taken.length > 0) throw new Error(`${document.info.title}: ${kind} ${taken.join()} belong to all documents`)
    components[kind] = { ...components[kind], ...parts }
  }
  for (const operation of operationsOf(document)) {
    operation.responses = { default: { $ref: '#/components/responses/Problem' }, ...operation.responses }
    if (operation['x-access'] === 'anonymous') operation.security = []
  }
  nameSchemas(document, components)
  return { ...document, components }
}

type Media = { schema?: Record<string, unknown> }
type Body = { $ref?: string; content?: Record<string, Media> }

/**
 * Gives each schema of a body or an answer that stands where it is used a name of its own, after its operation or its part of the
 * document: what is generated from the document then has one too.
 */
function nameSchemas(document: ApiDocument, components: Components): void {
  const schemas: Record<string, unknown> = { ...components.schemas }
  components.schemas = schemas
  const give = (name: string, { content }: Body) => {
    for (const [type, media] of Object.entries(content ?? {})) {
      const { schema } = media
      if (!schema || '$ref' in schema || !/json|form/.test(type)) continue
      if (schemas[name] !== undefined) throw new Error(`${document.info.title}: two schemas would be called ${name}`)
      schemas[name] = schema
      media.schema = { $ref: `#/components/schemas/${name}` }
    }
  }
  for (const [name, part] of Object.entries(components.responses ?? {})) give(name, part as Body)
  for (const operation of operationsOf(document)) {
    const name = `${operation.operationId?.[0]?.toUpperCase()}${operation.operationId?.slice(1)}`
    if (operation.requestBody) give(`${name}Request`, operation.requestBody)
    for (const [status, answer] of Object.entries(operation.responses ?? {}))
      if (!(answer as Body).$ref)
        give(status === '200' || status === '202' ? `${name}Answer` : `${name}Answer${status}`, answer as Body)
  }
}

/** The operations of a document, whatever their paths. */
function operationsOf(document: ApiDocument): Operation[] {
  return Object.values(document.paths).flatMap((item) => methods.flatMap((method) => item[method] ?? []))
}

function readYaml(file: URL): unknown {
  return allowReserved(load(readFileSync(file, 'utf8')))
}

function allowReserved(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(allowReserved)
  if (typeof value !== 'object' || value === null) return value
  const copy = Object.fromEntries(Object.entries(value).map(([key, part]) => [key, allowReserved(part)]))
  return isQueryParameter(copy) ? { ...copy, allowReserved: true } : copy
}

function isQueryParameter(value: unknown): value is { in: 'query'; name: string } {
  return typeof value === 'object' && value !== null && 'in' in value && value.in === 'query' && 'name' in value
}
