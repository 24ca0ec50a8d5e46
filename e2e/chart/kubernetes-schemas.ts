import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { Ajv, type ValidateFunction } from 'ajv'
import type { KubernetesObject } from './helm.ts'

type Definition = {
  properties?: Record<string, Definition>
  additionalProperties?: unknown
  items?: Definition
  format?: string
  type?: string
  $ref?: string
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[]
}

/** Where the sources of Kubernetes lie that Go has fetched; they have the schemas of all its objects. */
function findDocument(): string | undefined {
  const { stdout } = spawnSync('go', ['env', 'GOMODCACHE'], { encoding: 'utf8' })
  const folder = path.join(stdout?.trim() || '/nowhere', 'k8s.io')
  if (!existsSync(folder)) return undefined
  return readdirSync(folder)
    .filter((name) => name.startsWith('kubernetes@'))
    .toSorted()
    .map((name) => path.join(folder, name, 'api/openapi-spec/swagger.json'))
    .findLast((file) => existsSync(file))
}

const document = findDocument()
/** Why no object can be compared with its schema here. */
export const schemasMissing = document
  ? undefined
  : 'no schemas of Kubernetes: `go mod download k8s.io/kubernetes@v1.37.2` brings them'

/** Answers a check of objects against the schemas of Kubernetes, in which no field is unknown; of kinds that it does not have, nothing. */
export function createSchemaCheck(): (object: KubernetesObject) => string[] {
  const { definitions } = JSON.parse(readFileSync(document as string, 'utf8')) as {
    definitions: Record<string, Definition>
  }
  const names = new Map<string, string>()
  for (const [name, definition] of Object.entries(definitions)) {
    for (const { group, version, kind } of definition['x-kubernetes-group-version-kind'] ?? [])
      names.set(`${group ? `${group}/` : ''}${version} ${kind}`, name)
    strict(definition)
  }
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true })
  ajv.addSchema({ $id: 'kubernetes', definitions })
  const compiled = new Map<string, ValidateFunction>()
  return (object) => {
    const name = names.get(`${object.apiVersion} ${object.kind}`)
    if (name === undefined) return []
    const check = compiled.get(name) ?? ajv.compile({ $ref: `kubernetes#/definitions/${name}` })
    compiled.set(name, check)
    const isValid: boolean = check(object)
    if (isValid) return []
    return (check.errors ?? []).map(
      ({ instancePath, message, params }) =>
        `${object.kind} ${object.metadata.name}${instancePath} ${message} ${JSON.stringify(params)}`,
    )
  }
}

/** The document says nothing of unknown fields, and calls a number or a text a text. */
function strict(definition: Definition): void {
  if (definition.format === 'int-or-string') delete definition.type
  if (definition.properties && definition.additionalProperties === undefined) definition.additionalProperties = false
  for (const property of Object.values(definition.properties ?? {})) strict(property)
  if (definition.items) strict(definition.items)
}
