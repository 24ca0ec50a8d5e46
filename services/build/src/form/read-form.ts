import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { badField, Problem } from '@berth/service'
import { Busboy, type BusboyHeaders } from '@fastify/busboy'
import { type BuildForm, containerfileBytes, createForm, fieldBytes, mostFields, unknownField } from './fields.ts'

/** What is done with a form once all of its fields are there, and what comes of its context. */
export type Taking<Checked, Kept> = {
  /** Decides, before any byte of the context is taken. */
  check: (form: BuildForm) => Promise<Checked>
  /** Takes the context to its end. */
  keep: (context: Readable, checked: Checked, signal: AbortSignal) => Promise<Kept>
}

/** Where the multipart body of a request with another type, or without a boundary, is refused. */
function openBusboy(request: IncomingMessage): InstanceType<typeof Busboy> {
  const type = request.headers['content-type'] ?? ''
  if (!/^multipart\/form-data\s*;/i.test(type))
    throw new Problem(415, 'unsupported_media_type', 'A build is asked for by multipart/form-data.', {
      hint: 'curl -F containerfile=@Containerfile -F repository=team/app -F context=@context.tar.gz',
    })
  try {
    return new Busboy({
      headers: request.headers as BusboyHeaders,
      isPartAFile: (name, _type, fileName) => name === 'context' || fileName !== undefined,
      limits: {
        fieldNameSize: 100,
        fieldSize: containerfileBytes + 1,
        fields: mostFields,
        files: 2,
        parts: mostFields + 2,
        headerPairs: 20,
        headerSize: 8 << 10,
      },
    })
  } catch (cause) {
    throw badForm(cause)
  }
}

function badForm(cause: unknown): Problem {
  const said = cause instanceof Error ? cause.message : 'it cannot be read'
  return new Problem(400, 'invalid_form', `The multipart body is damaged: ${said}.`, {
    hint: 'Send it again; curl -F makes such a body.',
    cause,
  })
}

/**
 * Reads the form of a build as it comes: its fields first, the context last, which is never held in memory. A Containerfile may come
 * as a field or as a file. Whatever is wrong ends it at once.
 */
export async function readForm<Checked, Kept>(
  request: IncomingMessage,
  signal: AbortSignal,
  taking: Taking<Checked, Kept>,
): Promise<{ form: BuildForm; checked: Checked; kept: Kept | null }> {
  const busboy = openBusboy(request)
  // What a part calls runs on behalf of the connection that it came by, where nobody knows of whom the audit trail is to tell.
  const check = AsyncLocalStorage.bind(taking.check)
  const keep = AsyncLocalStorage.bind(taking.keep)
  const fields = createForm()
  const ended = Promise.withResolvers<void>()
  const failed = new AbortController()
  const both = AbortSignal.any([signal, failed.signal])
  let context: Promise<{ form: BuildForm; checked: Checked; kept: Kept }> | undefined
  const reading: Promise<unknown>[] = []
  const guarded = (work: () => void) => {
    try {
      work()
    } catch (error) {
      ended.reject(error)
    }
  }
  busboy.on('field', (name, value, isNameCut, isCut) =>
    guarded(() => {
      if (context) throw afterContext(name)
      if (isNameCut) throw unknownField(name)
      const most = name === 'containerfile' ? containerfileBytes : fieldBytes
      if (isCut || Buffer.byteLength(value) > most)
        throw badField(name, `has more than ${most} bytes`, 'Send a shorter one.')
      fields.take(name, value)
    }),
  )
  busboy.on('file', (name, stream) =>
    guarded(() => {
      // Of a part that nobody reads to its end the failure is that of the form.
      stream.on('error', () => undefined)
      if (context) throw name === 'context' ? badField('context', 'comes twice', 'Send it once.') : afterContext(name)
      if (name === 'containerfile') {
        const read = readText(stream).then((text) => fields.take(name, text))
        read.catch(ended.reject)
        reading.push(read)
        return
      }
      if (name !== 'context') throw badField(name, 'is a file', 'Send it as a plain field.')
      context = Promise.all(reading).then(async () => {
        const form = fields.end()
        const checked = await check(form)
        return { form, checked, kept: await keep(stream, checked, both) }
      })
      context.catch(ended.reject)
    }),
  )
  for (const limit of ['fieldsLimit', 'partsLimit', 'filesLimit'] as const)
    busboy.on(limit, () => ended.reject(badField('the form', `has more than ${mostFields} parts`, 'Send fewer.')))
  busboy.on('error', (error) => ended.reject(badForm(error)))
  busboy.on('finish', () => ended.resolve())
  const gone = () => ended.reject(new Problem(400, 'client_gone', 'The client left before all of the form had come.'))
  signal.addEventListener('abort', gone, { once: true })
  if (signal.aborted) gone()
  request.pipe(busboy)
  try {
    await ended.promise
    await Promise.all(reading)
    if (context) return await context
    const form = fields.end()
    return { form, checked: await check(form), kept: null }
  } catch (error) {
    request.unpipe(busboy)
    failed.abort(error)
    busboy.destroy()
    // Nothing is still being written when the refusal is told.
    await context?.catch(() => 'told already')
    throw error
  } finally {
    signal.removeEventListener('abort', gone)
  }
}

function afterContext(name: string): Problem {
  return badField(name, 'comes after the context', 'Send all fields before the context, which comes last.')
}

async function readText(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream) {
    bytes += (chunk as Buffer).length
    if (bytes > containerfileBytes)
      throw badField('containerfile', `has more than ${containerfileBytes} bytes`, 'Send a shorter one.')
    chunks.push(chunk as Buffer)
  }
  const text = Buffer.concat(chunks)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(text)
  } catch (cause) {
    throw new Problem(400, 'invalid_field', 'containerfile: is no text in UTF-8', { field: 'containerfile', cause })
  }
}
