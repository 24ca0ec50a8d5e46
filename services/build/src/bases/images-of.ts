/** The images that a Containerfile names, once its ARGs are filled in; stages of its own are none. */
export function imagesOf(
  text: string,
  { buildArgs }: { buildArgs: ReadonlyMap<string, string>; target: string | null },
): string[] {
  const stages = new Set(['scratch'])
  const values = new Map<string, string>()
  const images = new Set<string>()
  for (const line of text.replaceAll(/\\\r?\n/g, ' ').split(/\r?\n/)) {
    const [word = '', ...rest] = line.trim().split(/\s+/)
    if (word.toUpperCase() === 'ARG' && stages.size === 1 && images.size === 0) {
      const [name = '', value = ''] = rest.join(' ').split('=')
      values.set(name, buildArgs.get(name) ?? value.replaceAll(/^["']|["']$/g, ''))
    }
    if (word.toUpperCase() === 'FROM') {
      const [image = '', as = '', stage = ''] = rest.filter((one) => !one.startsWith('--'))
      const filled = image.replaceAll(/\$\{?(\w+)\}?/g, (_all, name: string) => values.get(name) ?? '')
      if (!stages.has(filled)) images.add(filled)
      if (as.toUpperCase() === 'AS') stages.add(stage)
    }
    const from = /--(?:from=|mount=\S*from=)([^\s,]+)/.exec(line)?.[1]
    if (from && !stages.has(from) && !/^\d+$/.test(from)) images.add(from)
  }
  return [...images]
}

/** Those that the ONBUILD steps of an image name, by its configuration. */
export function imagesOfOnBuild(config: Buffer): string[] {
  const { config: inner } = JSON.parse(config.toString('utf8')) as { config?: { OnBuild?: string[] | null } | null }
  const steps = inner?.OnBuild ?? []
  return imagesOf(steps.join('\n'), { buildArgs: new Map(), target: null })
}
