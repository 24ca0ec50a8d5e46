import { expand, type Lookup, Unexpandable } from './expand.ts'
import type { Fault } from './faults.ts'
import type { Instruction } from './read.ts'

export type Stage = { at: number; line: number; name: string | null; from: Instruction; instructions: Instruction[] }

const stageName = /^[a-z][a-z0-9_.-]*$/

/** The stages, and the ARGs before the first of them. */
export function readStages(instructions: readonly Instruction[]): {
  before: Instruction[]
  stages: Stage[]
  faults: Fault[]
} {
  const before: Instruction[] = []
  const stages: Stage[] = []
  const faults: Fault[] = []
  for (const one of instructions) {
    const stage = stages.at(-1)
    if (one.name === 'FROM') stages.push(startStage(one, stages.length, faults))
    else if (stage) stage.instructions.push(one)
    else if (one.name === 'ARG') before.push(one)
    else
      faults.push({
        line: one.line,
        message: `${one.name} comes before FROM`,
        hint: 'Begin with FROM; only ARG may come before it.',
      })
  }
  if (stages.length === 0)
    faults.push({
      line: 1,
      message: 'there is no FROM',
      hint: 'Begin with FROM and the image to build on, or FROM scratch.',
    })
  return { before, stages, faults }
}

function startStage(from: Instruction, at: number, faults: Fault[]): Stage {
  const { line, words } = from
  const [image, as, name] = words
  const hint = 'Write FROM IMAGE, or FROM IMAGE AS NAME.'
  if (image === undefined) faults.push({ line, message: 'FROM names no image', hint })
  else if (words.length !== 1 && (words.length !== 3 || as?.toUpperCase() !== 'AS'))
    faults.push({ line, message: 'FROM has words that mean nothing', hint })
  const lower = words.length === 3 && name !== undefined ? name.toLowerCase() : null
  if (lower !== null && !stageName.test(lower))
    faults.push({
      line,
      message: `${JSON.stringify(lower.slice(0, 100))} is no name of a stage`,
      hint: 'It begins with a letter, and has letters, digits, "_", "." and "-".',
    })
  return { at, line, name: lower, from, instructions: [] }
}

/** The stage that a word means among those before one, by its name or its number; `undefined`: none. */
export function findStage(word: string, stages: readonly Stage[], before: number): Stage | undefined {
  const earlier = stages.slice(0, before)
  const lower = word.toLowerCase()
  return /^\d+$/.test(word) ? earlier[Number(word)] : earlier.findLast(({ name }) => name === lower)
}

/** Adds what an ARG declares: what was given counts more than what stands there. */
export function declare(
  into: Map<string, string | undefined>,
  { words }: Instruction,
  { given, inherited, escape }: { given: ReadonlyMap<string, string>; inherited: Lookup; escape: string },
): void {
  for (const word of words) {
    const equals = word.indexOf('=')
    const name = equals < 0 ? word : word.slice(0, equals)
    const lookup: Lookup = (one) => into.get(one)
    const standing = () => (equals < 0 ? inherited(name) : expand(word.slice(equals + 1), lookup, escape))
    into.set(name, given.get(name) ?? standing())
  }
}

/** Expands, or tells why not at which line. */
export function expandOr(
  word: string,
  lookup: Lookup,
  { line, escape, faults }: { line: number; escape: string; faults: Fault[] },
): string | undefined {
  try {
    return expand(word, lookup, escape)
  } catch (error) {
    if (!(error instanceof Unexpandable)) throw error
    faults.push({
      line,
      message: `${word.slice(0, 100)}: ${error.message}`,
      hint: 'Give the ARG a default, or send it as buildArg.',
    })
    return undefined
  }
}
