type Family = { head: string[]; samples: string[] }

/**
 * The metrics of several processes as those of one (Prometheus' text format 0.0.4): each family once, with the samples of all,
 * and a label `service` at those that have none.
 */
export function mergeMetrics(texts: readonly { service: string; text: string }[]): string {
  const families = new Map<string, Family>()
  for (const { service, text } of texts) {
    let name = ''
    for (const line of text.split('\n')) {
      if (line === '') continue
      const [, described] = /^# (?:HELP|TYPE) (\S+)/.exec(line) ?? []
      name = described ?? name
      const family = families.get(name) ?? { head: [], samples: [] }
      families.set(name, family)
      if (!line.startsWith('#')) family.samples.push(labelled(line, service))
      else if (!family.head.some((known) => known.slice(0, 7) === line.slice(0, 7))) family.head.push(line)
    }
  }
  return [...families.values()]
    .flatMap(({ head, samples }) => [...head, ...samples])
    .join('\n')
    .concat('\n')
}

function labelled(sample: string, service: string): string {
  const end = sample.search(/[{ ]/)
  const [name, rest] = [sample.slice(0, end), sample.slice(end)]
  if (!rest.startsWith('{')) return `${name}{service="${service}"}${rest}`
  if (/[{,]service="/.test(rest)) return sample
  return `${name}{service="${service}",${rest.slice(1)}`
}
