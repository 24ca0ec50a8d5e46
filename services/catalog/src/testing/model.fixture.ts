import type { Digest } from '@berth/oci'

export type Manifest = { blobs: Digest[]; children: Digest[]; subject?: Digest }
export type Content = { tags: Map<string, Digest>; manifests: Set<Digest> }
export class Refused extends Error {
  override name = 'Refused'
}

export function copyOf({ tags, manifests }: Content): Content {
  return { tags: new Map(tags), manifests: new Set(manifests) }
}

/** Curation in memory, one step after the other as the rules say them: what the real one is held against. */
export class Model {
  readonly known = new Map<Digest, Manifest>()

  blobsOf({ manifests }: Content): Set<Digest> {
    return new Set([...manifests].flatMap((digest) => this.#get(digest).blobs))
  }

  /** What is wrong with a content in itself. */
  faultsOf(content: Content): string[] {
    const dangling = [...content.tags].filter(([, digest]) => !content.manifests.has(digest)).map(([name]) => name)
    const orphaned = [...content.manifests].flatMap((digest) =>
      this.#get(digest).children.filter((child) => !content.manifests.has(child)),
    )
    return [
      ...dangling.map((name) => `tag ${name} points nowhere`),
      ...orphaned.map((digest) => `${digest} is missing`),
    ]
  }

  put(target: Content, source: Content, wanted: { manifests: Digest[]; tags: string[] }, companions: boolean): void {
    const tags = wanted.tags.map((name) => [name, source.tags.get(name)] as const)
    const roots = [...wanted.manifests, ...tags.map(([, digest]) => digest)]
    if (roots.some((digest) => digest === undefined || !source.manifests.has(digest))) throw new Refused('unknown')
    const coming = this.#down(source, roots as Digest[], companions)
    for (const digest of coming) target.manifests.add(digest)
    if (companions)
      for (const [name, digest] of source.tags) if (coming.has(ownerOf(name))) target.tags.set(name, digest)
    for (const [name, digest] of tags) if (digest) target.tags.set(name, digest)
  }

  remove(content: Content, unwanted: { manifests: Digest[]; tags: string[] }, force: boolean): void {
    if (unwanted.manifests.some((digest) => !content.manifests.has(digest))) throw new Refused('unknown')
    if (unwanted.tags.some((name) => !content.tags.has(name))) throw new Refused('unknown')
    const explicit = new Set(unwanted.manifests)
    const tags = new Set(unwanted.tags)
    const roots = new Set([...explicit, ...unwanted.tags.map((name) => content.tags.get(name) as Digest)])
    if (force) this.#addHolders(content, explicit, tags)
    const hanging = this.#down(content, [...roots, ...explicit], true)
    const kept = this.#kept(content, hanging, explicit, tags)
    if ([...explicit].some((digest) => kept.has(digest))) throw new Refused('held')
    const going = new Set([...hanging].filter((digest) => !kept.has(digest)))
    for (const digest of going) content.manifests.delete(digest)
    for (const [name, digest] of content.tags)
      if (tags.has(name) || going.has(digest) || going.has(ownerOf(name))) content.tags.delete(name)
  }

  #get(digest: Digest): Manifest {
    const manifest = this.known.get(digest)
    if (!manifest) throw new Error(`the model does not know ${digest}`)
    return manifest
  }

  #hangs(content: Content, digest: Digest): { children: Digest[]; attached: Digest[] } {
    const members = [...content.manifests]
    return {
      children: this.#get(digest).children.filter((child) => content.manifests.has(child)),
      attached: [
        ...members.filter((other) => this.#get(other).subject === digest),
        ...[...content.tags].filter(([name]) => ownerOf(name) === digest).map(([, target]) => target),
      ],
    }
  }

  #down(content: Content, roots: Digest[], companions: boolean): Set<Digest> {
    const seen = new Set<Digest>()
    const queue = [...roots]
    for (let digest = queue.pop(); digest !== undefined; digest = queue.pop()) {
      if (seen.has(digest)) continue
      seen.add(digest)
      const { children, attached } = this.#hangs(content, digest)
      queue.push(...children, ...(companions ? attached : []))
    }
    return seen
  }

  #addHolders(content: Content, explicit: Set<Digest>, tags: Set<string>): void {
    for (const digest of explicit)
      for (const other of content.manifests) if (this.#get(other).children.includes(digest)) explicit.add(other)
    for (const [name, digest] of content.tags) if (explicit.has(digest)) tags.add(name)
  }

  #kept(content: Content, hanging: Set<Digest>, explicit: Set<Digest>, tags: Set<string>): Set<Digest> {
    const kept = new Set<Digest>()
    const queue: Digest[] = []
    for (const digest of hanging) {
      const isTagged = [...content.tags].some(
        ([name, target]) => target === digest && !tags.has(name) && !hanging.has(ownerOf(name)),
      )
      const isNamed = [...content.manifests].some(
        (other) => !hanging.has(other) && this.#get(other).children.includes(digest),
      )
      if (isTagged || isNamed) queue.push(digest)
    }
    for (let digest = queue.pop(); digest !== undefined; digest = queue.pop()) {
      if (kept.has(digest)) continue
      kept.add(digest)
      const { children, attached } = this.#hangs(content, digest)
      queue.push(...children.filter((child) => hanging.has(child)))
      queue.push(...attached.filter((other) => hanging.has(other) && !explicit.has(other)))
    }
    return kept
  }
}

/** Whose companion a tag would be: `sha256-<hex>` with anything after a dot. */
function ownerOf(tag: string): Digest {
  return tag.split('.', 1)[0]?.replace('-', ':') as Digest
}
