import { closest, distance } from 'fastest-levenshtein'
import type { Lookup } from './expand.ts'
import { type Fault, refuse } from './faults.ts'
import { ownPlatform, platformVariables, runsHere } from './platforms.ts'
import { type Instruction, type Range, readContainerfile, readTrigger, unknownInstruction } from './read.ts'
import { declare, expandOr, findStage, readStages, type Stage } from './stages.ts'

export type LintOptions = {
  buildArgs?: ReadonlyMap<string, string>
  target?: string | null
  /** `os/arch[/variant]`; empty: the machine's own. */
  platforms?: readonly string[]
  network?: 'none' | 'egress'
  /** What bases put off until they are built on (`OnBuild` of their configs), by the reference as `images` has it. */
  triggers?: ReadonlyMap<string, readonly string[]>
  /** Architectures whose programs run here though they are not its own. */
  foreign?: ReadonlySet<string>
  /** Whether programs for a platform run here, where that is decided already. */
  runs?: (platform: string) => boolean
}

/** An image that is named: as it stands there once its ARGs are filled in, where first, and for which platforms it is needed. */
type NamedImage = { reference: string; line: number; platforms: string[]; isBase: boolean }

export type Linted = {
  images: NamedImage[]
  /** How many instructions are to be done. */
  steps: number
  /** The first line with a heredoc, which buildah before 1.33 does not know. */
  heredocLine: number | null
  /** Where FROM names an image, in order; one that is another for each platform is left out. */
  froms: { reference: string; range: Range }[]
  stageNames: Set<string>
}

type Reading = {
  stages: Stage[]
  before: readonly Instruction[]
  escape: string
  faults: Fault[]
  images: Map<string, NamedImage>
  options: LintOptions
  /** The images of stages, by the number of the stage. */
  froms: Map<number, Set<string>>
}

const remote = /^(?:[a-z][a-z0-9+.-]*:\/\/|git@|[^/]+@[^/]+:)|\.git(?:#.*)?$/i

/**
 * Reads a Containerfile without building it: throws 400 `containerfile_refused` with the lines of all faults, or says which images it
 * names. Called again with the triggers of its bases, it also says what those name.
 */
export function lintContainerfile(text: string, options: LintOptions = {}): Linted {
  const { instructions, escape } = readContainerfile(text)
  const { before, stages, faults } = readStages(instructions)
  // What nobody knows is the reason of what else is wrong with its line, and is told first.
  faults.unshift(...instructions.flatMap((one) => unknownInstruction(one) ?? []))
  if (options.buildArgs?.has('BUILDKIT_SYNTAX'))
    faults.push({ line: 1, message: 'the build argument BUILDKIT_SYNTAX names a frontend', hint: 'Leave it away.' })
  const last = lastStage(stages, options.target ?? null, faults)
  const reading: Reading = {
    stages: stages.slice(0, last + 1),
    before,
    escape,
    faults,
    images: new Map(),
    froms: new Map(),
    options,
  }
  if (faults.length === 0)
    for (const platform of options.platforms?.length ? options.platforms : [ownPlatform]) readFor(platform, reading)
  if (faults.length > 0) throw refuse(unique(faults))
  const done = reading.stages.flatMap((stage) => [stage.from, ...stage.instructions])
  return {
    images: [...reading.images.values()],
    steps: done.length,
    heredocLine: done.find(({ hasHeredoc }) => hasHeredoc)?.line ?? null,
    froms: reading.stages.flatMap(({ at, from: { imageRange: range } }) => {
      const [reference, ...more] = reading.froms.get(at) ?? []
      return reference !== undefined && range && more.length === 0 ? [{ reference, range }] : []
    }),
    stageNames: new Set(reading.stages.flatMap(({ name }) => name ?? [])),
  }
}

/** Stages after the target are not built. */
function lastStage(stages: readonly Stage[], target: string | null, faults: Fault[]): number {
  if (target === null) return stages.length - 1
  const found = findStage(target, stages, stages.length)
  if (found) return found.at
  const names = stages.flatMap(({ name }) => name ?? [])
  faults.push({
    line: 1,
    message: `there is no stage ${target.slice(0, 100)}, which target names`,
    hint:
      names.length === 0 ? 'Give the stage a name: FROM IMAGE AS NAME.' : `There are ${names.slice(0, 20).join(', ')}.`,
  })
  return stages.length - 1
}

function readFor(target: string, reading: Reading): void {
  const { stages, before, escape, faults, options } = reading
  const automatic = platformVariables(target)
  const given = options.buildArgs ?? new Map<string, string>()
  const global = new Map<string, string | undefined>(automatic)
  for (const one of before) tryDeclare(global, one, { given, inherited: () => undefined, escape }, faults)
  const platforms: string[] = []
  for (const stage of stages) {
    const { line, words, flags } = stage.from
    const lookup: Lookup = (name) => global.get(name)
    const wanted = flags.find(({ name }) => name === 'platform')
    const platform = wanted ? expandOr(wanted.value, lookup, { line, escape, faults }) : target
    const image = expandOr(words[0] ?? '', lookup, { line, escape, faults })
    if (image === undefined || platform === undefined) return
    if (image === '' || platform === '') {
      const empty = image === '' ? (words[0] ?? '') : (wanted?.value ?? '')
      faults.push({
        line,
        message: `${empty} is empty`,
        hint: 'Give the ARG a default before the first FROM, or send it as buildArg.',
      })
      return
    }
    const parent = findStage(image, stages, stage.at)
    const own = parent ? (platforms[parent.at] ?? target) : platform
    platforms.push(own)
    const isImage = !parent && image !== 'scratch'
    if (isImage) nameImage(reading, { reference: image, line, platform: own, isBase: true })
    if (isImage) reading.froms.set(stage.at, (reading.froms.get(stage.at) ?? new Set()).add(image))
    const put = isImage ? (options.triggers?.get(image) ?? []).flatMap((one) => readTrigger(one, line)) : []
    const variables = new Map<string, string | undefined>()
    for (const one of [...put, ...stage.instructions])
      readInstruction(one, { stage, platform: own, variables, reading, inherited: (name) => global.get(name), given })
  }
}

type At = {
  stage: Stage
  platform: string
  variables: Map<string, string | undefined>
  reading: Reading
  inherited: Lookup
  given: ReadonlyMap<string, string>
}

function readInstruction(one: Instruction, at: At): void {
  const { reading, variables, platform } = at
  const { faults, escape, options } = reading
  const { line } = one
  if (one.name === 'ARG') tryDeclare(variables, one, { given: at.given, inherited: at.inherited, escape }, faults)
  if (one.name === 'ENV') declareEnvironment(one, variables, escape)
  if (one.name === 'COPY') for (const flag of one.flags) if (flag.name === 'from') nameSource(flag.value, line, at)
  if (one.name === 'RUN') {
    for (const flag of one.flags) {
      const from = flag.name === 'mount' ? /(?:^|,)from=([^,]*)/.exec(flag.value)?.[1] : undefined
      if (from !== undefined) nameSource(from, line, at)
      if (flag.name === 'security' || (flag.name === 'network' && flag.value === 'host'))
        faults.push({
          line,
          message: `--${flag.name}=${flag.value.slice(0, 40)} is not allowed`,
          hint: 'Leave it away.',
        })
    }
    if (!(options.runs?.(platform) ?? runsHere(platform, options.foreign)))
      faults.push({
        line,
        message: `RUN is for ${platform}, whose programs do not run on this machine (${ownPlatform})`,
        hint: 'Only COPY in that stage, do the work in one of FROM --platform=$BUILDPLATFORM, or install binfmt handlers (qemu-user-static).',
      })
  }
  if (one.name === 'ADD' && options.network !== 'egress')
    for (const word of one.words.slice(0, -1)) {
      const source = quietly(word.replace(/^\["?|"?[,\]]$/g, ''), variables, escape)
      if (remote.test(source))
        faults.push({
          line,
          message: `ADD of ${source.slice(0, 200)} needs the network`,
          hint: 'Put the file into the context, or build with network=egress where that is allowed.',
        })
    }
}

/** What COPY --from and RUN --mount=from name: a stage before this one, or an image. */
function nameSource(word: string, line: number, { stage, platform, reading }: At): void {
  const { stages, faults } = reading
  if (word === '' || word.includes('$')) {
    faults.push({
      line,
      message: `from=${word.slice(0, 100)} must be a plain name`,
      hint: `Name it by a stage: FROM ${word.slice(0, 100) || 'IMAGE'} AS NAME, then from=NAME.`,
    })
    return
  }
  if (findStage(word, stages, stage.at) || word === 'scratch') return
  const names = stages.slice(0, stage.at).flatMap(({ name }) => name ?? [])
  const known =
    names.length === 0
      ? 'There is no stage with a name before it.'
      : `Before it there are ${names.slice(0, 20).join(', ')}.`
  const lower = word.toLowerCase()
  if (/^\d+$/.test(word) || stages.some(({ name }) => name === lower)) {
    faults.push({ line, message: `there is no stage ${word.slice(0, 100)} before this one`, hint: known })
    return
  }
  const like = names.length === 0 ? '' : closest(lower, names)
  if (/^[\w-]{4,}$/.test(word) && like !== '' && distance(lower, like) <= 2)
    faults.push({
      line,
      message: `there is no stage ${word.slice(0, 100)}`,
      hint: `Write ${like} if that is meant, or the whole name of an image.`,
    })
  else nameImage(reading, { reference: word, line, platform, isBase: false })
}

function nameImage(
  { images }: Reading,
  { reference, line, platform, isBase }: Omit<NamedImage, 'platforms'> & { platform: string },
): void {
  const known = images.get(reference)
  if (!known) images.set(reference, { reference, line, platforms: [platform], isBase })
  else
    images.set(reference, {
      ...known,
      platforms: [...new Set([...known.platforms, platform])],
      isBase: known.isBase || isBase,
    })
}

function tryDeclare(
  into: Map<string, string | undefined>,
  one: Instruction,
  how: Parameters<typeof declare>[2],
  faults: Fault[],
): void {
  for (const word of one.words) {
    const name = word.replace(/=[\s\S]*$/, '')
    // What an ARG of a stage stands for is said there; only what cannot be read is a fault.
    const standing =
      word.length > name.length
        ? expandOr(word.slice(name.length + 1), (key) => into.get(key), { line: one.line, escape: how.escape, faults })
        : ''
    if (standing !== undefined) declare(into, { ...one, words: [word] }, how)
  }
}

/** Variables of the image, as far as ADD may use them; what cannot be read is the engine's to refuse. */
function declareEnvironment({ words }: Instruction, variables: Map<string, string | undefined>, escape: string): void {
  const [first = '', ...rest] = words
  const pairs = first.includes('=') ? words : [`${first}=${rest.join(' ')}`]
  for (const pair of pairs) {
    const equals = pair.indexOf('=')
    if (equals > 0) variables.set(pair.slice(0, equals), quietly(pair.slice(equals + 1), variables, escape))
  }
}

function quietly(word: string, variables: ReadonlyMap<string, string | undefined>, escape: string): string {
  return expandOr(word, (name) => variables.get(name), { line: 0, escape, faults: [] }) ?? word
}

function unique(faults: readonly Fault[]): Fault[] {
  return [...new Map(faults.map((fault) => [JSON.stringify(fault), fault])).values()]
}
