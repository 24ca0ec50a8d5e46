import { egressScript } from '../egress/in-sandbox.ts'
import type { BaseContent } from '../layouts/read-base.ts'
import type { BuildPlan } from './engine.ts'
import { commandOf, quote, tar } from './shell.ts'

/** Each costs some hundredths of a second, now and in the next build. */
const mostKept = 100

const settings = `
cat > /etc/containers/policy.json <<'END'
{"default":[{"type":"insecureAcceptAnything"}]}
END
echo 'unqualified-search-registries = []' > /etc/containers/registries.conf
driver=vfs
mkdir -p /work/try/lower /work/try/upper /work/try/work /work/try/merged
if mount -t overlay -o lowerdir=/work/try/lower,upperdir=/work/try/upper,workdir=/work/try/work,userxattr overlay /work/try/merged 2>/dev/null
then umount /work/try/merged; driver=overlay; fi
export _CONTAINERS_USERNS_CONFIGURED=1 BUILDAH_ISOLATION=chroot
`

/** What is run inside: bases into its store, the build platform by platform, the results as layouts. */
export function buildahScript(
  plan: BuildPlan,
  { bases, parts, cached }: { bases: readonly BaseContent[]; parts: readonly Part[]; cached: Cached | null },
  secrets: [string, string][],
): string {
  const inherited = [...new Set(bases.flatMap(({ layers }) => [...layers.keys()]))].map((id) =>
    id.replace('sha256:', ''),
  )
  return [
    'set -eu',
    'echo context >&4',
    `${tar} -x -f - -C /work/context <&5 5<&-`,
    'echo bases >&4',
    settings,
    ...(plan.network === 'egress' ? [egressScript] : []),
    ...bases.map((base, at) => layoutOf(base, at)),
    'mkdir -p /work/out/0/blobs/sha256',
    // Layers of the bases are there already as far as buildah can see, so it copies none; their own descriptors are put back later.
    ...inherited.map((hex) => `: > /work/out/0/blobs/sha256/${hex}`),
    ...(cached ? [...prepareCache(cached), ...inherited.map((hex) => `: > /work/out/cache/blobs/sha256/${hex}`)] : []),
    ...parts.map((part, at) => buildOne(plan, part, { at, secrets, cached })),
    ...inherited.map((hex) => `rm -f /work/out/0/blobs/sha256/${hex}`),
    ...(cached ? [keepSteps, ...inherited.map((hex) => `rm -f /work/out/cache/blobs/sha256/${hex}`)] : []),
    'echo result >&4',
    `${tar} -c -f - -C /work/out ${parts.map((_, at) => at).join(' ')}${cached ? ' cache' : ''} >&3`,
  ].join('\n')
}

/** Steps of builds before this one: for each entry of the cache the names of the images that it holds. */
export type Cached = { entries: string[][] }

/** Layouts of the entries, over the blobs that they share; and one for what this build leaves. */
function prepareCache({ entries }: Cached): string[] {
  return [
    'mkdir -p /work/out/cache/blobs/sha256',
    ...entries.map(
      (_, at) =>
        `mkdir -p /work/cached/${at}; ln -s /host/cache/blobs /work/cached/${at}/blobs; cp /work/in/cached-${at} /work/cached/${at}/index.json; echo '{"imageLayoutVersion":"1.0.0"}' > /work/cached/${at}/oci-layout`,
    ),
  ]
}

/** Layers of the bases are in the store by then, and are not looked for. What cannot be used is made anew. */
function pullSteps({ entries }: Cached): string[] {
  return entries.flatMap((names, at) =>
    names.map((name) => `buildah pull -q oci:/work/cached/${at}:${name} >/dev/null 2>&1 3>&- 4>&- || true`),
  )
}

// Uncompressed: a layer that several images have is then known by its name, and written once.
const keepSteps = `
count=0
for image in $(buildah images -a -q --no-trunc 3>&- 4>&-); do
  if [ $count -lt ${mostKept} ] && ! grep -q "$image" /work/bases.txt; then
    count=$((count + 1))
    buildah push -q -D "$image" oci:/work/out/cache:$count >/dev/null 3>&- 4>&-
  fi
done
`

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

/** The build for one platform, and the images that it needs: which base, under which name, for which platform. */
export type Part = { platform: string | null; images: { base: number; name: string; platform: string }[] }

type Place = { at: number; secrets: [string, string][]; cached: Cached | null }

function buildOne(plan: BuildPlan, { platform, images }: Part, { at, secrets, cached }: Place): string {
  const forPlatform = platform === null ? [] : ['--platform', platform]
  const pulls = [...new Map(images.map((image) => [image.base, image])).values()].map(
    ({ base, platform: own }) =>
      `base${base}=$(${commandOf(['buildah', 'pull', '-q', '--platform', own, `oci:/work/bases/${base}`])} 3>&- 4>&-)`,
  )
  const contexts = images.map(({ base, name }) => `--build-context ${quote(`${name}=docker-image://`)}"$base${base}"`)
  const words = [
    ...'buildah bud --pull=never --layers --identity-label=false --network=host --format=oci'.split(' '),
    // As variables of the steps, which are no part of the image.
    `--http-proxy=${plan.network === 'egress'}`,
    `--timestamp=${plan.sourceDateEpoch}`,
    `--tag=result${at}`,
    ...forPlatform,
    ...(plan.noCache ? ['--no-cache'] : []),
    ...(plan.target === null ? [] : ['--target', plan.target]),
    ...[...plan.buildArgs].flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]),
    ...[...plan.labels].flatMap(([key, value]) => ['--label', `${key}=${value}`]),
    ...secrets.flatMap(([id, file]) => ['--secret', `id=${id},src=${file}`]),
    `--file=/work/in/Containerfile-${at}`,
    '/work/context',
  ]
  const out = `/work/out/${at}`
  // A store for each: buildah takes a step of one platform from the cache for another where both begin from scratch.
  const store = `printf '[storage]\\ndriver = "%s"\\ngraphroot = "/work/store-${at}"\\nrunroot = "/run/store-${at}"\\n' "$driver" > /etc/containers/storage.conf`
  return [
    store,
    ...pulls,
    ...(cached ? [`buildah images -a -q --no-trunc > /work/bases.txt 3>&- 4>&-`, ...pullSteps(cached)] : []),
    'echo build >&4',
    `${commandOf(words.slice(0, 2))} ${contexts.join(' ')} ${commandOf(words.slice(2))} 3>&- 4>&-`,
    ...(at === 0 ? [] : [`mkdir ${out}`, `ln -s ../0/blobs ${out}/blobs`]),
    `buildah push -q result${at} oci:${out}:result 3>&- 4>&-`,
  ].join('\n')
}
