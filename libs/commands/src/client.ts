import type { CallOptions, InternalCall, InternalClient, InternalHandler } from '@berth/service'

type Commands = Record<string, { request: unknown; reply: unknown }>

/** An internal client that knows the commands of a service. */
export type CommandClient<C extends Commands> = {
  call<K extends keyof C & string>(command: K, request: C[K]['request'], options?: CallOptions): Promise<C[K]['reply']>
  rows<K extends keyof C & string>(
    command: K,
    request: C[K]['request'],
    options?: CallOptions,
  ): AsyncIterable<C[K]['reply']>
  bytes<K extends keyof C & string>(
    command: K,
    request: C[K]['request'],
    options?: CallOptions,
  ): ReturnType<InternalClient['bytes']>
}

/** Gives an internal client the types of a service's commands. */
export function commandsOf<C extends Commands>(client: InternalClient): CommandClient<C> {
  return client
}

/** The handlers a service must have to answer its commands; what streams answers `unknown` through `rows`. */
export type CommandHandlers<C extends Commands, Streamed extends keyof C = never> = {
  [K in keyof C]: (
    request: C[K]['request'],
    call: InternalCall,
  ) => Promise<K extends Streamed ? unknown : C[K]['reply']>
}

/** Hands typed handlers to the internal server, which reads bodies without knowing their types. */
export function commandHandlers<C extends Commands, Streamed extends keyof C = never>(
  handlers: CommandHandlers<C, Streamed>,
): Record<string, InternalHandler> {
  return handlers
}
