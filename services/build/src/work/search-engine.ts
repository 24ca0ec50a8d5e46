import { type Loop, startLoop } from '@berth/bus'
import { type Logger, Problem } from '@berth/service'
import type { Engine } from '../engines/engine.ts'
import type { MakeSbom } from '../sbom/make-sbom.ts'

/** Looks for an engine on this machine: one, or what is missing and how to get it. */
export type EngineSearch = (signal: AbortSignal) => Promise<Found | { missing: string }>
/** An engine, and what makes bills of materials where there is such a program. */
type Found = { engine: Engine; makeSbom?: MakeSbom | undefined }

export type Engines = {
  begin(): void
  onFound(listener: (engine: Engine) => void): void
  current(): Engine | undefined
  makeSbom(): MakeSbom | undefined
  /** Throws 503 where there is none, or it is still looked for. */
  require(): Engine
  /** What `/readyz` tells. */
  notes(): Record<string, string>
  stop(): Promise<void>
}

// An operator who was told what is missing installs it and waits.
const lookAgainMs = 60_000

/** Looks for the engine behind the start of the service, again and again until there is one: a machine without one serves all the same. */
export function searchEngine(find: EngineSearch, log: Logger): Engines {
  const listeners: ((engine: Engine) => void)[] = []
  let found: Found | { missing: string } | undefined
  let searching: Loop | undefined
  const search = async (signal: AbortSignal) => {
    if (found && 'engine' in found) return
    const before = found?.missing
    found = await find(signal)
    if (signal.aborted) return
    if ('missing' in found) {
      if (found.missing !== before) log.warn('nothing can be built here', { missing: found.missing })
      return
    }
    log.info('images are built here', { engine: found.engine.name, version: found.engine.version })
    for (const listener of listeners) listener(found.engine)
  }
  const onError = (error: unknown) => {
    log.error('the search for an engine failed', { error })
    found = { missing: 'the search for one failed, and the log of build says why' }
  }
  const current = () => (found && 'engine' in found ? found.engine : undefined)
  return {
    begin: () => {
      searching = startLoop({ pollMs: lookAgainMs, pauseAfterFailureMs: lookAgainMs, run: search, onError })
    },
    onFound: (listener) => void listeners.push(listener),
    current,
    makeSbom: () => (found && 'engine' in found ? found.makeSbom : undefined),
    require: () => {
      const engine = current()
      if (engine) return engine
      const missing = found && 'missing' in found ? found.missing : undefined
      throw new Problem(
        503,
        'no_build_engine',
        `Nothing can be built here now: ${missing ?? 'an engine is still looked for'}.`,
        {
          hint:
            missing === undefined
              ? 'Try again soon.'
              : 'An operator installs it; docs/how-to/build-images.md tells how.',
          headers: { 'retry-after': missing === undefined ? '5' : '60' },
        },
      )
    },
    notes: () => {
      const engine = current()
      if (engine) return { builds: `${engine.name} ${engine.version}` }
      return { builds: found && 'missing' in found ? `none: ${found.missing}` : 'an engine is looked for' }
    },
    stop: async () => searching?.stop(),
  }
}
