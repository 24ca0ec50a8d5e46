import type { ApiReply, ApiRequest } from './api.ts'

// Over the interface `operations` that openapi-typescript makes of a service's document. The validator has compared a request with
// the same document before a handler sees it, which is why these types hold.

type None = { readonly [Name in never]: unknown }

type PathOf<Operation> = Operation extends { parameters: { path: infer Path } } ? Path : None

// An absent `query?: never` is an empty one.
type QueryOf<Operation> = Operation extends { parameters: { query?: infer Query } }
  ? [NonNullable<Query>] extends [never]
    ? None
    : NonNullable<Query>
  : None

type BodyOf<Operation> = Operation extends { requestBody: { content: { 'application/json': infer Body } } }
  ? Body
  : Operation extends { requestBody?: { content: { 'application/json': infer Body } } }
    ? Body | undefined
    : undefined

/** A request as the document of the service describes it. */
export type RequestOf<Operation> = Omit<ApiRequest, 'params' | 'query' | 'body'> & {
  params: PathOf<Operation>
  query: QueryOf<Operation>
  body: BodyOf<Operation>
}

/** The handlers that a service must have to answer its document. */
export type Handlers<Operations> = {
  [Id in keyof Operations]: (request: RequestOf<Operations[Id]>) => Promise<ApiReply | undefined>
}
