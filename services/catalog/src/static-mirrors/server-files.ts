import { mediaTypes } from '@berth/oci'
import {
  apiFolder,
  blobsFolder,
  catalogName,
  endings,
  manifestsFolder,
  noReferrersName,
  referrersFolder,
  tagListName,
  tagsFolder,
} from './file-names.ts'

const tag = '[A-Za-z0-9_][A-Za-z0-9._-]*'
const digest = '(sha256|sha512):([0-9a-f]+)'
const version = 'Docker-Distribution-Api-Version registry/2.0'

const faults = {
  NAME_UNKNOWN: 'repository name not known to registry',
  MANIFEST_UNKNOWN: 'manifest unknown',
  BLOB_UNKNOWN: 'blob unknown to registry',
}
const faultBody = (code: keyof typeof faults) => JSON.stringify({ errors: [{ code, message: faults[code] }] })

/** The files that tell web servers how `/v2` is served from the mirror; they are the same for every mirror. */
export const serverFiles: ReadonlyMap<string, string> = new Map([
  ['nginx.conf', nginxConfiguration()],
  ['Caddyfile', caddyConfiguration()],
])

function nginxConfiguration(): string {
  const unknown = (code: keyof typeof faults) => `@berth_${code.toLowerCase()}`
  const tried = (stem: string) => endings.map(([ending]) => `${stem}.${ending}`).join(' ')
  const types = endings.map(([ending, mediaType]) => `    ${mediaType} ${ending};`).join('\n')
  const location = (path: string, ...lines: string[]) =>
    `location ${path} {\n${lines.map((line) => `  ${line}`).join('\n')}\n}\n`
  return `# How nginx serves this mirror: include it in a server whose root is this folder. Written by Berth, at each run.
${location('= /v2/', 'default_type application/json;', `add_header ${version};`, `return 200 '{}';`)}
${location('= /v2/_catalog', 'types { }', 'default_type application/json;', `try_files /${catalogName} =404;`)}
${location(
  `~ "^/v2/(.+)/tags/list$"`,
  'types { }',
  'default_type application/json;',
  `try_files /${apiFolder}/$1/${tagListName} ${unknown('NAME_UNKNOWN')};`,
)}
${location(
  `~ "^/v2/(.+)/manifests/${digest}$"`,
  `types {\n${types}\n  }`,
  'add_header Docker-Content-Digest $2:$3;',
  `try_files ${tried(`/${apiFolder}/$1/${manifestsFolder}/$2/$3`)} ${unknown('MANIFEST_UNKNOWN')};`,
)}
${location(
  `~ "^/v2/(.+)/manifests/(${tag})$"`,
  `types {\n${types}\n  }`,
  `try_files ${tried(`/${apiFolder}/$1/${tagsFolder}/$2`)} ${unknown('MANIFEST_UNKNOWN')};`,
)}
${location(
  `~ "^/v2/.+/blobs/${digest}$"`,
  'types { }',
  'default_type application/octet-stream;',
  'add_header Docker-Content-Digest $1:$2;',
  `try_files /${blobsFolder}/$1/$2 ${unknown('BLOB_UNKNOWN')};`,
)}
${location(
  `~ "^/v2/(.+)/referrers/${digest}$"`,
  'types { }',
  `default_type ${mediaTypes.ociIndex};`,
  `try_files /${apiFolder}/$1/${referrersFolder}/$2/$3.json /${noReferrersName} =404;`,
)}
${location('/v2/', 'return 404;')}
${(Object.keys(faults) as (keyof typeof faults)[])
  .map((code) => location(unknown(code), 'default_type application/json;', `return 404 '${faultBody(code)}';`))
  .join('\n')}`
}

function caddyConfiguration(): string {
  const handle = (name: string, pattern: string, ...lines: string[]) =>
    `@${name} path_regexp ${name} ^/v2/${pattern}$\nhandle @${name} {\n\troute {\n${lines
      .map((line) => `\t\t${line}`)
      .join('\n')}\n\t}\n}\n`
  const tried = (stem: string) => `try_files ${endings.map(([ending]) => `${stem}.${ending}`).join(' ')}`
  const typed = (name: string) =>
    endings.flatMap(([ending, mediaType]) => [
      `@${name}-${ending} path *.${ending}`,
      `header @${name}-${ending} Content-Type ${mediaType}`,
    ])
  return `# How Caddy serves this mirror: import it in a site whose root is this folder. Written by Berth, at each run.
handle /v2/ {
	header ${version}
	header Content-Type application/json
	respond "{}" 200
}
handle /v2/_catalog {
	route {
		header Content-Type application/json
		rewrite * /${catalogName}
		file_server
	}
}
${handle('tags', '(.+)/tags/list', 'header Content-Type application/json', `rewrite * /${apiFolder}/{re.tags.1}/${tagListName}`, 'file_server')}
${handle(
  'digests',
  `(.+)/manifests/${digest}`,
  'header Docker-Content-Digest {re.digests.2}:{re.digests.3}',
  tried(`/${apiFolder}/{re.digests.1}/${manifestsFolder}/{re.digests.2}/{re.digests.3}`),
  ...typed('digests'),
  'file_server',
)}
${handle('names', `(.+)/manifests/(${tag})`, tried(`/${apiFolder}/{re.names.1}/${tagsFolder}/{re.names.2}`), ...typed('names'), 'file_server')}
${handle(
  'blobs',
  `.+/blobs/${digest}`,
  'header Content-Type application/octet-stream',
  'header Docker-Content-Digest {re.blobs.1}:{re.blobs.2}',
  `rewrite * /${blobsFolder}/{re.blobs.1}/{re.blobs.2}`,
  'file_server',
)}
${handle(
  'referrers',
  `(.+)/referrers/${digest}`,
  `header Content-Type ${mediaTypes.ociIndex}`,
  `try_files /${apiFolder}/{re.referrers.1}/${referrersFolder}/{re.referrers.2}/{re.referrers.3}.json /${noReferrersName}`,
  'file_server',
)}
handle {
	respond 404
}
`
}
