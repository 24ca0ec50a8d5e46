const ofNode: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ia32: '386',
  ppc64: 'ppc64le',
  s390x: 's390x',
  riscv64: 'riscv64',
}

/** What this machine is, as images name it. */
export const ownPlatform = `linux/${ofNode[process.arch] ?? process.arch}`

/** The variables that each platform sets, for FROM and in stages that declare them. */
export function platformVariables(target: string): Map<string, string> {
  return new Map([...variablesOf('TARGET', target), ...variablesOf('BUILD', ownPlatform)])
}

function variablesOf(prefix: string, platform: string): [string, string][] {
  const [os = '', arch = '', variant = ''] = platform.split('/')
  return [
    [`${prefix}PLATFORM`, platform],
    [`${prefix}OS`, os],
    [`${prefix}ARCH`, arch],
    [`${prefix}VARIANT`, variant],
  ]
}

/** Whether this machine runs programs for a platform: by itself, or by what it has for some other architectures. */
export function runsHere(platform: string, foreign: ReadonlySet<string> = new Set()): boolean {
  const [, own = ''] = ownPlatform.split('/')
  const [, arch = ''] = platform.split('/')
  return arch === own || (own === 'amd64' && arch === '386') || foreign.has(arch)
}
