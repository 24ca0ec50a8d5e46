import { type LintOptions, lintContainerfile } from './lint.ts'

type Renamed = { text: string; names: Map<string, string> }

/**
 * A Containerfile in which images of FROM have names of their own: `all` of them, or those that are called as a stage, which an engine
 * that is given images by name would take for the stage as well. Lines stay where they are. Answers the new names too.
 */
export function renameBases(text: string, options: LintOptions, which: 'all' | 'clashing'): Renamed {
  const { froms, stageNames } = lintContainerfile(text, { ...options, runs: () => true })
  const names = new Map<string, string>()
  const lines = text.split('\n')
  for (const { reference, range } of froms.toReversed()) {
    const { start, end } = range
    const line = lines[start.line]
    const isMeant = which === 'all' || stageNames.has(reference.toLowerCase())
    if (line === undefined || start.line !== end.line || !isMeant) continue
    const name = names.get(reference) ?? `berth.invalid/base-${names.size}`
    names.set(reference, name)
    lines[start.line] = line.slice(0, start.character) + name + line.slice(end.character)
  }
  return { text: lines.join('\n'), names }
}
