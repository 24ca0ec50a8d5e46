import type { StagedPart } from './store.ts'

/**
 * What kind of failure it is, so that an edge can choose its answer: `unavailable` try later, `no_space` the disk or quota is
 * full, `below_reserve` what is left of it is kept, `busy` too much is being written at once, `denied` credentials or file
 * permissions, `misconfigured` an operator must change a setting, `damaged` stored bytes are not what they were, `conflict` the
 * id is taken or the parts do not fit together, `missing_part` a staged part is gone, `reader_left` whoever the bytes were sent
 * to is gone, which is no failure of the store.
 */
export type BlobStoreErrorCode =
  | 'unavailable'
  | 'no_space'
  | 'below_reserve'
  | 'busy'
  | 'denied'
  | 'misconfigured'
  | 'damaged'
  | 'conflict'
  | 'missing_part'
  | 'reader_left'

/** The store could not do its work. The message says what failed, on what, and what to do; `cause` has the original. */
export class BlobStoreError extends Error {
  override name = 'BlobStoreError'
  readonly code: BlobStoreErrorCode

  constructor(code: BlobStoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The bytes are not those of the digest they were sent for. Nothing became visible. */
export class DigestMismatch extends Error {
  override name = 'DigestMismatch'
  readonly expected: string
  readonly actual: string

  constructor(expected: string, actual: string) {
    super(`the bytes have digest ${actual}, not ${expected}`)
    this.expected = expected
    this.actual = actual
  }
}

/** The source was shorter or longer than announced. Nothing became visible. */
export class SizeMismatch extends Error {
  override name = 'SizeMismatch'
  readonly expectedBytes: number
  readonly actualBytes: number

  constructor(expectedBytes: number, actualBytes: number) {
    super(`got ${actualBytes} bytes where ${expectedBytes} were announced`)
    this.expectedBytes = expectedBytes
    this.actualBytes = actualBytes
  }
}

/** The source went on past the limit the caller set. Nothing is kept of it. */
export class BlobTooLarge extends Error {
  override name = 'BlobTooLarge'
  readonly limitBytes: number

  constructor(limitBytes: number) {
    super(`the upload is larger than the limit of ${limitBytes} bytes`)
    this.limitBytes = limitBytes
  }
}

/**
 * The source of a part failed or was aborted midway (`cause` says how). What had come is durable and described by
 * `part`, so that the upload can go on from `part.startOffset + part.sizeBytes`.
 */
export class PartInterrupted extends Error {
  override name = 'PartInterrupted'
  readonly part: StagedPart

  constructor(part: StagedPart, cause: unknown) {
    super(`part ${part.id} broke off after ${part.sizeBytes} bytes`, { cause })
    this.part = part
  }
}
