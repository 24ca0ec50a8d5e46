import { DockerfileParser, type Instruction as Parsed } from 'dockerfile-ast'
import { closest, distance } from 'fastest-levenshtein'
import { splitWords } from './expand.ts'
import { type Fault, refuse } from './faults.ts'

/** From one place up to another, both counted from 0. */
export type Range = { start: { line: number; character: number }; end: { line: number; character: number } }

/** One instruction: its name in capitals, its flags, and its words as they stand there. */
export type Instruction = {
  line: number
  name: string
  flags: { name: string; value: string }[]
  words: string[]
  hasHeredoc: boolean
  /** Of FROM: where its image stands. */
  imageRange: Range | null
}

const mostBytes = 256 << 10
const mostLines = 20_000
const mostInstructions = 2000
/** Far more than any shell takes. */
const mostWords = 5000

const instructionNames =
  'ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME WORKDIR'.split(
    ' ',
  )

/** Reads the instructions of a Containerfile. Throws 400 for what is too large, and for a frontend of its own. */
export function readContainerfile(text: string): { instructions: Instruction[]; escape: string } {
  const tooMuch = (what: string, line = 1) =>
    refuse([{ line, message: `has more than ${what}`, hint: 'Make it shorter.' }])
  if (Buffer.byteLength(text) > mostBytes) throw tooMuch(`${mostBytes} bytes`)
  if (text.split('\n').length > mostLines) throw tooMuch(`${mostLines} lines`)
  refuseFrontend(text)
  const file = DockerfileParser.parse(text)
  const escape = file.getEscapeCharacter()
  const parsed = file.getInstructions()
  if (parsed.length > mostInstructions) throw tooMuch(`${mostInstructions} instructions`)
  const instructions = parsed.map((one) => readInstruction(one, escape))
  const long = instructions.find(({ words, flags }) => words.length > mostWords || flags.length > 100)
  if (long) throw tooMuch(`${mostWords} words, or 100 flags, in one instruction`, long.line)
  return { instructions, escape }
}

/** What the base of a stage has put off until now: each line is one instruction. */
export function readTrigger(text: string, line: number): Instruction[] {
  const file = DockerfileParser.parse(text)
  return file.getInstructions().map((one) => ({ ...readInstruction(one, '\\'), line }))
}

/** The fault of a name that is no instruction. */
export function unknownInstruction({ name, line }: Instruction): Fault | undefined {
  if (instructionNames.includes(name)) return undefined
  const shown = name.slice(0, 40)
  const like = closest(name.slice(0, 40), instructionNames)
  const hint =
    distance(name.slice(0, 40), like) <= 3
      ? `Write ${like} if that is meant; a line that goes on needs a "\\" at its end.`
      : `There are ${instructionNames.join(', ')}; a line that goes on needs a "\\" at its end.`
  return { line, message: `there is no instruction ${shown}`, hint }
}

function readInstruction(one: Parsed, escape: string): Instruction {
  const line = (one.getRange()?.start.line ?? 0) + 1
  const name = one.getKeyword()
  const withFlags = one as unknown as { getFlags?: () => { getName(): string; getValue(): string | null }[] }
  const withHeredocs = one as unknown as { getHeredocs?: () => unknown[] }
  const flags = (withFlags.getFlags?.() ?? []).map((flag) => ({ name: flag.getName(), value: flag.getValue() ?? '' }))
  const hasHeredoc = (withHeredocs.getHeredocs?.() ?? []).length > 0
  const imageRange = (one as unknown as { getImageRange?: () => Range | null }).getImageRange?.() ?? null
  const words = splitWords(one.getRawArgumentsContent() ?? '', escape)
  return { line, name, flags, words: words.slice(countFlags(words)), hasHeredoc, imageRange }
}

/** Flags come before all words. */
function countFlags(words: readonly string[]): number {
  const first = words.findIndex((word) => !word.startsWith('--'))
  return first < 0 ? words.length : first
}

// As buildkit looks for it: in comments of either kind before the first instruction, or in a first object of JSON.
const comment = /^\s*(?:#|\/\/)/
const syntax = /^\s*(?:#|\/\/)\s*syntax\s*=/i

function refuseFrontend(text: string): void {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  for (const [at, content] of lines.entries()) {
    if (syntax.test(content)) throw refuse([frontend(at + 1)])
    if (content.trim() !== '' && !comment.test(content)) break
  }
  if (text.trimStart().startsWith('{')) throw refuse([frontend(1)])
}

function frontend(line: number): Fault {
  return {
    line,
    message: 'names a frontend of its own (syntax=), which is an image that would be run',
    hint: 'Leave the line away: the engine here knows heredocs, mounts and COPY --link.',
  }
}
