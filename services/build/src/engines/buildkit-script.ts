import { egressScript, proxyVariables } from '../egress/in-sandbox.ts'
import type { BaseContent } from '../layouts/read-base.ts'
import type { BuildPlan } from './engine.ts'
import { familiarName } from './familiar-name.ts'
import { commandOf, quote, tar } from './shell.ts'

/** What of the host is shown under `/host`, and the names that images have instead of those in the plan. */
export type Shown = {
  names: ReadonlyMap<string, string>
  bases: readonly BaseContent[]
  cache: { entries: number } | null
}

const fastest = 'compression=zstd,compression-level=1'

/** Starts the daemon beside what else is to be made ready. */
const startDaemon = `
snapshotter=native
mkdir -p /work/try/lower /work/try/upper /work/try/work /work/try/merged
if mount -t overlay -o lowerdir=/work/try/lower,upperdir=/work/try/upper,workdir=/work/try/work,userxattr overlay /work/try/merged 2>/dev/null
then umount /work/try/merged; snapshotter=overlayfs; fi
export XDG_RUNTIME_DIR=/run PATH="/host:$PATH"
buildkitd --rootless --root /work/buildkit --addr unix:///run/buildkit.sock --containerd-worker=false --oci-worker-gc=false \\
  --oci-worker-net=host --oci-worker-snapshotter=$snapshotter --otel-socket-path /run/otel.sock </dev/null >/work/daemon.log 2>&1 3>&- 4>&- 5<&- &
daemon=$!
`

const awaitDaemon = `
left=1000
until [ -S /run/buildkit.sock ]; do
  left=$((left - 1))
  if [ "$left" = 0 ] || ! kill -0 $daemon 2>/dev/null; then tail -n 20 /work/daemon.log >&2; exit 98; fi
  sleep 0.01
done
`

/** What is run inside: the daemon, one build, and the results as layouts: the image, and what the next build can use again. */
export function buildkitScript(plan: BuildPlan, shown: Shown, secrets: [string, string][]): string {
  const { bases, cache } = shown
  const isExported = plan.cache !== null
  return [
    'set -eu',
    'echo start >&4',
    startDaemon,
    'echo context >&4',
    `${tar} -x -f - -C /work/context <&5 5<&-`,
    // BuildKit knows the ignore file by one name only; where both are there podman takes this one too.
    'if [ -f /work/context/.containerignore ]; then cp /work/context/.containerignore /work/context/.dockerignore; fi',
    'echo start >&4',
    ...(plan.network === 'egress' ? [egressScript] : []),
    'mkdir -p /work/results/image/blobs/sha256 /work/results/cache',
    'cd /work/results/image/blobs/sha256',
    // What is in the folder of the results already is not written again: blobs of bases and of the cache stay where they are.
    ...linkBases(bases),
    ...(cache ? [linkCached] : []),
    // All layouts are over the same blobs.
    'ln -s ../image/blobs /work/results/cache/blobs',
    ...importable(cache?.entries ?? 0),
    'cd /work',
    awaitDaemon,
    'echo build >&4',
    `${commandOf(buildWords(plan, shown, secrets))}${proxied(plan)} </dev/null 3>&- 4>&-`,
    'echo result >&4',
    `${tar} -c -f - -C /work/results image ${isExported ? 'cache/index.json' : ''} >&3`,
  ].join('\n')
}

/** As arguments that every build has, which are variables of the steps and no part of the image. */
function proxied({ network }: BuildPlan): string {
  if (network !== 'egress') return ''
  return proxyVariables.map((name) => ` --opt build-arg:${name}="$${name}"`).join('')
}

/** Those that a base has too are there already. */
const linkCached = 'cp -rs /host/cache/blobs/sha256/. . 2>/dev/null || true'

/** Links to all blobs of the bases, each once. */
function linkBases(bases: readonly BaseContent[]): string[] {
  const places = new Map<string, string>()
  for (const [at, { blobs }] of bases.entries())
    for (const digest of blobs) places.set(digest, `/host/base-${at}/blobs/${digest.replace(':', '/')}`)
  return places.size === 0 ? [] : [`ln -s ${[...places.values()].map(quote).join(' ')} .`]
}

/** One layout for each entry of the cache. */
function importable(entries: number): string[] {
  return Array.from({ length: entries }, (_, at) => {
    const layout = `/work/cached/${at}`
    return `mkdir -p ${layout}; ln -s /work/results/image/blobs ${layout}/blobs; cp /work/in/cached-${at} ${layout}/index.json`
  })
}

function buildWords(plan: BuildPlan, { names, bases, cache }: Shown, secrets: [string, string][]): string[] {
  const option = (key: string, value: string) => ['--opt', `${key}=${value}`]
  const named = [...plan.bases].flatMap(([reference, { digest }], at) =>
    option(`context:${familiarName(names.get(reference) ?? reference)}`, `oci-layout://base-${at}@${digest}`),
  )
  return [
    ...'buildctl --addr unix:///run/buildkit.sock build --progress=rawjson --frontend dockerfile.v0'.split(' '),
    ...'--local context=/work/context --local dockerfile=/work/in --opt filename=Containerfile'.split(' '),
    ...bases.flatMap((_, at) => ['--oci-layout', `base-${at}=/host/base-${at}`]),
    ...named,
    ...option('build-arg:SOURCE_DATE_EPOCH', String(plan.sourceDateEpoch)),
    ...[...plan.buildArgs].flatMap(([key, value]) => option(`build-arg:${key}`, value)),
    ...[...plan.labels].flatMap(([key, value]) => option(`label:${key}`, value)),
    ...(plan.target === null ? [] : option('target', plan.target)),
    ...(plan.platforms.length === 0 ? [] : option('platform', plan.platforms.join(','))),
    ...(plan.noCache ? ['--no-cache'] : []),
    ...secrets.flatMap(([id, file]) => ['--secret', `id=${id},src=${file}`]),
    '--output',
    // The layers that go out are made of these, and of their times (compress-layers.ts): by its rewrite-timestamp it would compress twice.
    `type=oci,dest=/work/results/image,tar=false,oci-mediatypes=true,${fastest}`,
    ...(plan.cache === null ? [] : ['--export-cache', `type=local,dest=/work/results/cache,mode=max,${fastest}`]),
    ...Array.from({ length: cache?.entries ?? 0 }, (_, at) => [
      '--import-cache',
      `type=local,src=/work/cached/${at}`,
    ]).flat(),
  ]
}
