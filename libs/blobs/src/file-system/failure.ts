import { BlobStoreError, type BlobStoreErrorCode } from '../store/errors.ts'

const kinds: Record<string, { code: BlobStoreErrorCode; remedy: string }> = {
  ENOSPC: { code: 'no_space', remedy: 'the file system is full: free space, run the collector, or give it more' },
  EDQUOT: { code: 'no_space', remedy: 'the disk quota is used up: free space or raise it' },
  EACCES: { code: 'denied', remedy: 'let the user that Berth runs as read and write there' },
  EPERM: { code: 'denied', remedy: 'let the user that Berth runs as read and write there' },
  EROFS: { code: 'denied', remedy: 'the file system is mounted read-only: mount it writable' },
  EXDEV: { code: 'misconfigured', remedy: 'blobs and staging must lie on one file system: mount the root as a whole' },
  ENOTDIR: {
    code: 'misconfigured',
    remedy: 'a file stands where a folder belongs: choose another root or move it away',
  },
  EISDIR: {
    code: 'misconfigured',
    remedy: 'a folder stands where a file belongs: choose another root or move it away',
  },
  EEXIST: { code: 'conflict', remedy: 'something of that name exists already: use a new id' },
  EMFILE: { code: 'unavailable', remedy: 'too many files are open: raise the limit on open files' },
  ENFILE: { code: 'unavailable', remedy: 'too many files are open: raise the limit on open files' },
  EIO: { code: 'unavailable', remedy: 'the disk reports errors: check it before anything else' },
}

/** The system error code of a failure, if it has one. */
export function errnoOf(error: unknown): string | undefined {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException
  return syscall === undefined ? undefined : code
}

/** Turns a system error into a `BlobStoreError` that says what to do; hands on everything else as it is. */
export function storeFailure(what: string, cause: unknown): unknown {
  const errno = errnoOf(cause)
  if (errno === undefined) return cause
  const { code, remedy } = kinds[errno] ?? { code: 'unavailable', remedy: 'see the cause' }
  return new BlobStoreError(code, `cannot ${what} (${errno}); ${remedy}`, { cause })
}

/** Runs work of the store; its system errors come out as `BlobStoreError`. */
export async function orFail<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw storeFailure(what, cause)
  }
}
