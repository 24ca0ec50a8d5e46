import { digestOf, type Wire } from '../conformance/wire.ts'

/**
 * Moves a tag by turns on two replicas of registry, and reads it from both: while a move runs either digest may be read, and
 * once it is answered only the new one, from any of them. Answers what was read wrongly; throws when a move is refused.
 */
export async function moveTag({
  replicas: [one, other],
  repository,
  manifest,
  moves,
}: {
  replicas: readonly [Wire, Wire]
  repository: string
  /** An image whose blobs the repository has. */
  manifest: object
  moves: number
}): Promise<string[]> {
  const numbers = new Map<string, number>()
  const move = async (wire: Wire, number: number) => {
    const body = { ...manifest, annotations: { number: String(number) } }
    numbers.set(digestOf(Buffer.from(JSON.stringify(body, null, 2))), number)
    const { status } = (await wire.pushManifest(repository, body, 'latest')).reply
    if (status !== 201) throw new Error(`move ${number} is answered with ${status}`)
  }
  const wrong: string[] = []
  const look = async (wire: Wire, allowed: number[]) => {
    const { status, headers } = await wire.send('GET', `/v2/${repository}/manifests/latest`)
    const number = numbers.get(String(headers['docker-content-digest'])) ?? -1
    if (status !== 200 || !allowed.includes(number)) wrong.push(`${status}, ${number} for ${allowed.join(' or ')}`)
  }
  await move(one, 0)
  for (let number = 1; number <= moves; number++) {
    const [writer, reader] = number % 2 === 0 ? [one, other] : [other, one]
    const moving = move(writer, number)
    await Promise.all([moving, look(writer, [number - 1, number]), look(reader, [number - 1, number])])
    await look(reader, [number])
  }
  return wrong
}
