/** An image that a Containerfile names: as it stands there once its ARGs are filled in, where first, and for which platforms. */
export type NamedImage = { reference: string; line: number; platforms: readonly string[] }

type Options = { buildArgs: ReadonlyMap<string, string>; platforms: readonly string[]; target: string | null }

/** The images that a Containerfile names, once its ARGs are filled in; stages of its own are none. */
export function imagesOf(text: string, { buildArgs, platforms }: Options): NamedImage[] {
  const stages = new Set(['scratch'])
  const values = new Map<string, string>()
  const images = new Map<string, NamedImage>()
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    const add = (reference: string) => {
      if (!images.has(reference)) images.set(reference, { reference, line: at + 1, platforms })
    }
    const [word = '', ...rest] = line.trim().split(/\s+/)
    if (word.toUpperCase() === 'ARG' && stages.size === 1 && images.size === 0) {
      const [name = '', value = ''] = rest.join(' ').split('=')
      values.set(name, buildArgs.get(name) ?? value.replaceAll(/^["']|["']$/g, ''))
    }
    if (word.toUpperCase() === 'FROM') {
      const [image = '', as = '', stage = ''] = rest.filter((one) => !one.startsWith('--'))
      const filled = image.replaceAll(/\$\{?(\w+)\}?/g, (_all, name: string) => values.get(name) ?? '')
      if (!stages.has(filled)) add(filled)
      if (as.toUpperCase() === 'AS') stages.add(stage)
    }
    const from = /--(?:from=|mount=\S*from=)([^\s,]+)/.exec(line)?.[1]
    if (from && !stages.has(from) && !/^\d+$/.test(from)) add(from)
  }
  return [...images.values()]
}
