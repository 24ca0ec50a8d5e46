import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { freePort } from '@berth/standalone/children'
import { findProgram } from '../servers/programs.ts'
import { answers, type ServerProcess, startServerProcess } from '../servers/server-process.ts'

/** nginx over a static mirror, with nothing but the configuration that lies in it. */
export async function startNginx(mirror: string): Promise<{ server: ServerProcess; host: string }> {
  const program = findProgram('nginx')
  if (!program) throw new Error('nginx is not installed')
  const host = `127.0.0.1:${await freePort()}`
  const server = await startServerProcess({
    name: 'nginx',
    program,
    args: (folder) => {
      const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (one) => `${one}_temp_path ${folder}/${one};`,
      )
      const site = `server { listen ${host}; root ${mirror}; include ${mirror}/nginx.conf; }`
      const file = path.join(folder, 'nginx.conf')
      const user = process.geteuid?.() === 0 ? 'user root;' : ''
      writeFileSync(
        file,
        `${user} daemon off; pid ${folder}/pid; error_log stderr; events {} http { access_log off; ${places.join(' ')} ${site} }`,
      )
      return ['-c', file, '-p', folder]
    },
    isReady: () => answers(`http://${host}/v2/`, 200),
  })
  return { server, host }
}
