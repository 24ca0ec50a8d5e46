import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

// Writes what an image is made of, as CycloneDX: node deploy/image/sbom.mjs FOLDER ROOT [ROOT…], of the services in FOLDER and Debian's packages in the roots.
// The Node that runs it is taken for that of the image. Nothing in it tells the time or the machine: the same image has the same.

const [folder, ...roots] = process.argv.slice(2)

function npmPackages() {
  const store = path.join(folder, 'node_modules', '.pnpm')
  const manifests = readdirSync(store).flatMap((name) => {
    const inside = path.join(store, name, 'node_modules')
    // Beside each package lie links to those that it needs.
    return packagesIn(inside).filter(({ isLink }) => !isLink)
  })
  return manifests.map(({ place }) => {
    const { name, version, license } = JSON.parse(readFileSync(path.join(place, 'package.json'), 'utf8'))
    const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
    return {
      ...component(name, version, purl),
      ...(typeof license === 'string' && { licenses: [{ expression: license }] }),
    }
  })
}

function packagesIn(inside) {
  let entries
  try {
    entries = readdirSync(inside, { withFileTypes: true })
  } catch (error) {
    // `.pnpm/lock.yaml` and its like.
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return []
    throw error
  }
  return entries.flatMap((entry) =>
    entry.name.startsWith('@')
      ? packagesIn(path.join(inside, entry.name))
      : entry.name.startsWith('.')
        ? []
        : [{ place: path.join(inside, entry.name), isLink: entry.isSymbolicLink() }],
  )
}

function debianPackages(root) {
  const status = path.join(root, 'var', 'lib', 'dpkg', 'status.d')
  return readdirSync(status).map((file) => {
    const text = readFileSync(path.join(status, file), 'utf8')
    const field = (name) => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? ''
    const [name, version, architecture] = ['Package', 'Version', 'Architecture'].map(field)
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`
    return component(name, version, purl)
  })
}

function component(name, version, purl) {
  return { type: 'library', 'bom-ref': purl, name, version, purl }
}

const { version, license } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
const node = process.versions.node
const itself = component('node', node, `pkg:generic/node@${node}`)
const byPurl = new Map([itself, ...npmPackages(), ...roots.flatMap(debianPackages)].map((one) => [one.purl, one]))
const document = {
  $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  version: 1,
  metadata: {
    component: { type: 'application', 'bom-ref': 'berth', name: 'berth', version, licenses: [{ expression: license }] },
  },
  components: [...byPurl.keys()].toSorted((a, b) => (a < b ? -1 : 1)).map((purl) => byPurl.get(purl)),
}
process.stdout.write(`${JSON.stringify(document, undefined, 1)}\n`)
