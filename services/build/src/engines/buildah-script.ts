import type { BaseContent } from '../layouts/read-base.ts'
import type { BuildPlan } from './engine.ts'
import { commandOf, quote } from './shell.ts'

const settings = `
cat > /etc/containers/policy.json <<'END'
{"default":[{"type":"insecureAcceptAnything"}]}
END
echo 'unqualified-search-registries = []' > /etc/containers/registries.conf
driver=vfs
mkdir -p /work/try/lower /work/try/upper /work/try/work /work/try/merged
if mount -t overlay -o lowerdir=/work/try/lower,upperdir=/work/try/upper,workdir=/work/try/work,userxattr overlay /work/try/merged 2>/dev/null
then umount /work/try/merged; driver=overlay; fi
cat > /etc/containers/storage.conf <<END
[storage]
driver = "$driver"
graphroot = "/work/store"
runroot = "/run/store"
END
export _CONTAINERS_USERNS_CONFIGURED=1 BUILDAH_ISOLATION=chroot
`

/** What is run inside: bases into its store, the build platform by platform, the results as layouts. */
export function buildahScript(plan: BuildPlan, bases: readonly BaseContent[], secrets: [string, string][]): string {
  const platforms = plan.platforms.length === 0 ? [null] : plan.platforms
  const inherited = [...new Set(bases.flatMap(({ layers }) => [...layers.keys()]))].map((id) =>
    id.replace('sha256:', ''),
  )
  return [
    'set -eu',
    'echo context >&4',
    'tar -x -f - -C /work/context <&5 5<&-',
    settings,
    ...bases.map((base, at) => layoutOf(base, at)),
    'mkdir -p /work/out/blobs/sha256',
    // Layers of the bases are there already as far as buildah can see, so it copies none; their own descriptors are put back later.
    ...inherited.map((hex) => `: > /work/out/blobs/sha256/${hex}`),
    ...platforms.map((platform, at) => buildOne(plan, { platform, at, bases, secrets })),
    ...inherited.map((hex) => `rm -f /work/out/blobs/sha256/${hex}`),
    'echo result >&4',
    'tar -c -f - -C /work/out . >&3',
  ].join('\n')
}

/** A layout with one entry, which is what buildah wants to see, over the blobs of the one that is shown. */
function layoutOf({ descriptor }: BaseContent, at: number): string {
  const folder = `/work/bases/${at}`
  const index = JSON.stringify({ schemaVersion: 2, manifests: [descriptor] })
  return [
    `mkdir -p ${folder}`,
    `ln -s /host/base-${at}/blobs ${folder}/blobs`,
    `echo '{"imageLayoutVersion":"1.0.0"}' > ${folder}/oci-layout`,
    `echo ${quote(index)} > ${folder}/index.json`,
  ].join('\n')
}

type One = { platform: string | null; at: number; bases: readonly BaseContent[]; secrets: [string, string][] }

function buildOne(plan: BuildPlan, { platform, at, bases, secrets }: One): string {
  const forPlatform = platform === null ? [] : ['--platform', platform]
  const pulls = bases.map(
    (_, base) =>
      `base${base}=$(${commandOf(['buildah', 'pull', '-q', ...forPlatform, `oci:/work/bases/${base}`])} 3>&- 4>&-)`,
  )
  const contexts = [...plan.bases.keys()].map(
    (name, base) => `--build-context ${quote(`${name}=docker-image://`)}"$base${base}"`,
  )
  const words = [
    ...'buildah bud --pull=never --layers --identity-label=false --network=host --http-proxy=false --format=oci'.split(
      ' ',
    ),
    `--timestamp=${plan.sourceDateEpoch}`,
    `--tag=result${at}`,
    ...forPlatform,
    ...(plan.noCache ? ['--no-cache'] : []),
    ...(plan.target === null ? [] : ['--target', plan.target]),
    ...[...plan.buildArgs].flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]),
    ...[...plan.labels].flatMap(([key, value]) => ['--label', `${key}=${value}`]),
    ...secrets.flatMap(([id, file]) => ['--secret', `id=${id},src=${file}`]),
    '--file=/work/in/Containerfile',
    '/work/context',
  ]
  const out = `/work/out/${at}`
  return [
    ...pulls,
    'echo build >&4',
    `${commandOf(words.slice(0, 2))} ${contexts.join(' ')} ${commandOf(words.slice(2))} 3>&- 4>&-`,
    `mkdir -p ${out}`,
    `ln -s ../blobs ${out}/blobs`,
    `buildah push -q result${at} oci:${out}:result 3>&- 4>&-`,
  ].join('\n')
}
