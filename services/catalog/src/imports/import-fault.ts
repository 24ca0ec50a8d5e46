import { BlobStoreError } from '@berth/blobs'
import type { TaskError } from '@berth/commands'
import { Problem } from '@berth/service'
import { BadArchive } from '../archives/bad-archive.ts'

const longestMessage = 4_000
export const makeRoom = 'Free space, or collect what nothing needs: POST /api/v1/store/gc.'

/** What is wrong with an archive as the API says it, 400 with the place, and what is wrong with the store. Everything else is answered as it is. */
export function asProblem(error: unknown): unknown {
  if (error instanceof BlobStoreError) {
    const isFull = error.code === 'no_space' || error.code === 'below_reserve'
    const message = isFull
      ? 'The disk of the blob store is full.'
      : 'The blob store cannot take or give these bytes now.'
    return new Problem(503, `store_${error.code}`, message, {
      hint: `What came by then is kept. ${isFull ? makeRoom : 'Whoever runs Berth finds more in its log.'}`,
      headers: { 'retry-after': '30' },
      cause: error,
    })
  }
  if (!(error instanceof BadArchive)) return error
  return new Problem(400, error.code, `${shortened(error.message)}.`, {
    hint:
      error.code === 'newer_format'
        ? 'Bring this Berth up to date first.'
        : 'Nothing of it was taken. Compare it with its checksums, and carry it across again.',
    more: { place: shortened(error.place) },
  })
}

/** The same for a task. */
export function explainFault(error: unknown): TaskError | undefined {
  if (error instanceof BadArchive) return { code: error.code, message: shortened(error.message) }
  if (error instanceof BlobStoreError && (error.code === 'no_space' || error.code === 'below_reserve'))
    return {
      code: `store_${error.code}`,
      message: `The disk of the blob store is full. What came by then is kept, and the import goes on there when it is started again. ${makeRoom}`,
    }
  if (!(error instanceof Problem)) return undefined
  return { code: error.code, message: shortened([error.message, error.options.hint].filter(Boolean).join(' ')) }
}

function shortened(text: string): string {
  return text.slice(0, longestMessage).toWellFormed().replaceAll('\0', '\uFFFD')
}
