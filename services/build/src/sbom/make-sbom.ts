import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, realpath } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import type { BuildLimits } from '../engines/engine.ts'
import { feedFiles } from '../engines/inputs.ts'
import { quote } from '../engines/shell.ts'
import { runSandbox, type SandboxHost } from '../sandbox/run-sandbox.ts'

/** An image whose blobs lie in one of some layouts. */
type DescribedImage = {
  /** Names the sandbox. */
  id: string
  manifest: { digest: string; mediaType: string; size: number }
  layouts: readonly string[]
}

/** Makes a bill of materials of an image, as SPDX in JSON. */
export type MakeSbom = (image: DescribedImage, limits: BuildLimits, signal: AbortSignal) => Promise<Buffer>

const run = promisify(execFile)
const mostSeconds = 300
const mostBytes = 32 << 20

/** The maker of bills of materials of this machine, where syft is on its PATH. */
export async function findSyft(host: SandboxHost): Promise<MakeSbom | undefined> {
  const program = await findProgram('syft')
  if (program === undefined) return undefined
  await run(program, ['version'])
  return (image, limits, signal) => describe({ host, program }, image, limits, signal)
}

async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, name)
    const isThere = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isThere) return realpath(file)
  }
  return undefined
}

/** In a sandbox as the build itself: what it reads was made by a stranger. */
async function describe(
  { host, program }: { host: SandboxHost; program: string },
  { id, manifest, layouts }: DescribedImage,
  limits: BuildLimits,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  let said = ''
  const end = await runSandbox(
    host,
    {
      id,
      shows: new Map([['syft', program], ...layouts.map((layout, at): [string, string] => [`layout-${at}`, layout])]),
      limits: { ...limits, seconds: Math.min(limits.seconds, mostSeconds) },
      feedInputs: (into, ended) => feedFiles(new Map([['run.sh', scriptOf(manifest)]]), into, ended),
      feedContext: async (into) => void into.end(),
      takeResult: async (from) => {
        let bytes = 0
        for await (const chunk of from as AsyncIterable<Buffer>) {
          bytes += chunk.length
          if (bytes > mostBytes) throw new Error(`the bill of materials has more than ${mostBytes} bytes`)
          chunks.push(chunk)
        }
      },
      onOutput: (stream, chunk) => {
        if (stream === 'stderr') said = `${said}${chunk.toString('utf8')}`.slice(-500)
      },
    },
    signal,
  )
  if (end.overrun) throw new Error(`syft used more ${end.overrun} than a build may`)
  if (end.exitCode !== 0) throw new Error(`syft ended with ${end.exitCode}: ${said.trim()}`)
  const text = Buffer.concat(chunks)
  JSON.parse(text.toString('utf8'))
  return text
}

function scriptOf(manifest: DescribedImage['manifest']): string {
  const index = JSON.stringify({ schemaVersion: 2, manifests: [manifest] })
  return `set -eu
mkdir -p image/blobs/sha256
# Links in a layout are refused by syft (1.57), and copies would take the memory of the build.
for file in /host/layout-*/blobs/sha256/*; do
  place="image/blobs/sha256/\${file##*/}"
  if [ -f "$file" ] && [ ! -e "$place" ]; then : > "$place"; mount --bind "$file" "$place"; fi
done
echo '{"imageLayoutVersion":"1.0.0"}' > image/oci-layout
echo ${quote(index)} > image/index.json
export SYFT_CHECK_FOR_APP_UPDATE=false NO_COLOR=1
/host/syft scan oci-dir:/work/image -o spdx-json >&3
`
}
