import { stat } from 'node:fs/promises'
import { openProxy, type ProxyOptions } from './guarded-proxy.ts'

const port = 3128
const certificates = '/etc/ssl/certs'

// What is on the inner side of the socket: programs know proxies by host and port only.
const bridge = `
const net = require('node:net')
net.createServer({ allowHalfOpen: true }, (inner) => {
  const outer = net.connect({ path: '/host/egress.sock', allowHalfOpen: true })
  inner.pipe(outer)
  outer.pipe(inner)
  inner.on('error', () => outer.destroy()).on('close', () => outer.destroy())
  outer.on('error', () => inner.destroy()).on('close', () => inner.destroy())
}).listen(${port}, '127.0.0.1', () => require('node:fs').writeFileSync('/run/egress', ''))
`

/** The lines of a script that open the way out inside, and the variables that name it to programs. */
export const egressScript = `
mkdir -p /etc/ssl
if [ -d /host/certificates ]; then ln -s /host/certificates ${certificates}; fi
/host/node --max-old-space-size=64 -e "$(cat /work/in/bridge.cjs)" </dev/null 3>&- 4>&- &
left=200
until [ -e /run/egress ]; do
  left=$((left - 1))
  if [ "$left" = 0 ]; then echo "the way out did not come up: apt-get install iproute2" >&2; exit 98; fi
  sleep 0.05
done
export HTTP_PROXY=http://127.0.0.1:${port} HTTPS_PROXY=http://127.0.0.1:${port} NO_PROXY=localhost,127.0.0.1
export http_proxy=$HTTP_PROXY https_proxy=$HTTPS_PROXY no_proxy=$NO_PROXY
`

/** The names of these variables. */
export const proxyVariables = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy']

/** What the script reads besides. */
export const egressFiles: [string, string][] = [['bridge.cjs', bridge]]

/** Opens the outer side for one build; what it shows the sandbox goes with it. */
export async function openEgress(
  place: string,
  options: ProxyOptions,
): Promise<{ shows: Map<string, string>; close(): Promise<void> }> {
  const { socket, close } = await openProxy(place, options)
  const hasCertificates = await stat(certificates).then(
    (found) => found.isDirectory(),
    () => false,
  )
  return {
    shows: new Map([
      ['egress.sock', socket],
      ['node', process.execPath],
      ...(hasCertificates ? [['certificates', certificates] as const] : []),
    ]),
    close,
  }
}
