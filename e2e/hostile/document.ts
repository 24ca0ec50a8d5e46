/** As much of an OpenAPI document as requests are made from. */
export type Schema = {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  oneOf?: Schema[]
  anyOf?: Schema[]
  allOf?: Schema[]
  minimum?: number
}
type Parameter = { $ref?: string; in: 'path' | 'query' | 'header'; name: string }
type Operation = {
  operationId?: string
  parameters?: Parameter[]
  requestBody?: { $ref?: string; content?: Record<string, { schema?: Schema }> }
}
export type OpenApiDocument = { paths: Record<string, Record<string, unknown>> }

/** An operation, with what of it can be given bad values. */
export type Operated = {
  id: string
  method: string
  path: string
  inPath: string[]
  inQuery: string[]
  body: Schema | undefined
  document: OpenApiDocument
}

const methods = ['get', 'put', 'post', 'patch', 'delete']

/** All operations of a document that lie under `/api/v1`. */
export function operationsOf(document: OpenApiDocument): Operated[] {
  return Object.entries(document.paths)
    .filter(([, item]) => !('servers' in item))
    .flatMap(([path, item]) =>
      methods.flatMap((method) => {
        const operation = item[method] as Operation | undefined
        if (!operation) return []
        const common = (item.parameters ?? []) as Parameter[]
        const parameters = [...common, ...(operation.parameters ?? [])].map((one) => resolve(document, one))
        const names = (place: string) => parameters.filter((one) => one.in === place).map(({ name }) => name)
        const body = operation.requestBody && resolve(document, operation.requestBody)
        return [
          {
            id: operation.operationId ?? `${method} ${path}`,
            method: method.toUpperCase(),
            path,
            inPath: names('path'),
            inQuery: names('query'),
            body: body?.content?.['application/json']?.schema,
            document,
          },
        ]
      }),
    )
}

function resolve<T extends { $ref?: string }>(document: OpenApiDocument, thing: T): T {
  const { $ref: reference } = thing
  if (reference === undefined) return thing
  const found = reference
    .replace(/^#\//, '')
    .split('/')
    .reduce<unknown>(
      (at, key) => (at as Record<string, unknown>)[key.replaceAll('~1', '/').replaceAll('~0', '~')],
      document,
    )
  return resolve(document, found as T)
}

/** The fields of a body, with their schemas. */
export function fieldsOf({ document, body }: Operated): Record<string, Schema> {
  return body ? propertiesOf(document, body) : {}
}

function propertiesOf(document: OpenApiDocument, given: Schema): Record<string, Schema> {
  const schema = resolve(document, given)
  const parts = [...(schema.allOf ?? []), ...(schema.oneOf ?? []), ...(schema.anyOf ?? [])]
  return Object.assign({}, schema.properties, ...parts.map((part) => propertiesOf(document, part)))
}

/** A value that a schema takes, as far as it is easily said: of an object the fields that must be there. */
export function sampleOf(document: OpenApiDocument, given: Schema | undefined, depth = 0): unknown {
  if (!given || depth > 6) return 'x'
  const schema = resolve(document, given)
  if (schema.enum) return schema.enum[0]
  const [either] = [...(schema.oneOf ?? []), ...(schema.anyOf ?? [])]
  if (either && !schema.properties) return sampleOf(document, either, depth + 1)
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1
  if (type === 'boolean') return true
  if (type === 'array') return [sampleOf(document, schema.items, depth + 1)]
  if (type !== 'object' && !schema.properties && !schema.allOf) return 'sample'
  const fields = propertiesOf(document, schema)
  return Object.fromEntries((schema.required ?? []).map((name) => [name, sampleOf(document, fields[name], depth + 1)]))
}
