import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

/** One step of a tour in a document: what is typed, and what is then on the screen (`…` stands for any text). */
export type Step = { command: string; output: string[] }

/** Reads the steps of all ```console blocks of a document that have this name. */
export function readTour(file: URL, name = 'tour'): Step[] {
  const blocks = readFileSync(file, 'utf8').matchAll(new RegExp(`^\`\`\`console ${name}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))
  const steps: Step[] = []
  for (const [, block = ''] of blocks) {
    for (const line of block.trimEnd().split('\n')) {
      if (line.startsWith('$ ')) steps.push({ command: line.slice(2), output: [] })
      else steps.at(-1)?.output.push(line)
    }
  }
  return steps
}

const mark = 'end-of-step'

/** Types commands into one shell, as a person does, and answers what each put on the screen. `setUp` goes before them. */
export async function typeAll(commands: readonly string[], options: { cwd: string; setUp: string }): Promise<string[]> {
  const shell = spawn('bash', [], { cwd: options.cwd, stdio: ['pipe', 'pipe', 'pipe'] })
  let screen = ''
  let errors = ''
  shell.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text))
  shell.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  shell.stdin.write(`shopt -s expand_aliases\n${options.setUp}\n`)
  for (const command of commands) shell.stdin.write(`${command}\nprintf '${mark} %s\\n' "$?"\n`)
  shell.stdin.end()
  await once(shell, 'close')
  const outputs = screen.split(new RegExp(`^${mark} (\\d+)\\n`, 'm'))
  return commands.map((command, i) => {
    if (outputs[i * 2 + 1] !== '0') throw new Error(`"${command}" failed:\n${outputs[i * 2] ?? ''}\n${errors}`)
    return outputs[i * 2] ?? ''
  })
}

/** A pattern for the lines that a document shows. */
export function screenOf({ output }: Step): RegExp {
  const lines = output.map((line) =>
    line
      .split('…')
      .map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('[\\s\\S]*'),
  )
  return new RegExp(`^${lines.map((line) => `${line}\\n`).join('')}$`)
}
