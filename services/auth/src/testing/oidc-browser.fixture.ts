import request from 'supertest'

/** A browser as far as a login needs one: it keeps cookies by their name and path. */
export function openBrowser(url: string) {
  const jar = new Map<string, { value: string; path: string }>()
  const cookiesFor = (path: string) =>
    [...jar].filter(([, { path: under }]) => path.startsWith(under)).map(([name, { value }]) => `${name}=${value}`)
  return {
    jar,
    /** GET of a path of Berth, with the cookies that belong there. */
    get: async (path: string) => {
      const answer = await request(url).get(path).set('cookie', cookiesFor(path).join('; ')).redirects(0)
      for (const set of (answer.headers['set-cookie'] ?? []) as unknown as string[]) {
        const [pair = '', ...attributes] = set.split('; ')
        const [name, value] = [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]
        const under = attributes.find((one) => one.startsWith('Path='))?.slice('Path='.length) ?? '/'
        if (attributes.includes('Max-Age=0')) jar.delete(name)
        else jar.set(name, { value, path: under })
      }
      return answer
    },
  }
}
export type Browser = ReturnType<typeof openBrowser>
