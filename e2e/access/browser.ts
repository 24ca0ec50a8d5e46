/** A browser as far as a login needs one: cookies by host and path, redirects, and forms of pages. */
export type Browser = {
  /** Goes to an address and follows redirects; answers the last page. */
  open(url: string, form?: Record<string, string>): Promise<{ url: string; status: number; text: string }>
  /** A cookie that it has for an address. */
  cookie(url: string, name: string): string | undefined
  /** The cookies that it would send there. */
  cookies(url: string): string
}

type Cookie = { origin: string; path: string; name: string; value: string }

const mostRedirects = 20

export function openBrowser(): Browser {
  let jar: Cookie[] = []
  const sent = (address: string) => {
    const { origin, pathname } = new URL(address)
    return jar.filter((one) => one.origin === origin && pathname.startsWith(one.path))
  }
  const keep = (address: string, answer: Response) => {
    const { origin } = new URL(address)
    for (const set of answer.headers.getSetCookie()) {
      const [pair = '', ...attributes] = set.split(';').map((part) => part.trim())
      const equals = pair.indexOf('=')
      const path = attributes.find((one) => /^path=/i.test(one))?.slice('path='.length) ?? '/'
      const one = { origin, path, name: pair.slice(0, equals), value: pair.slice(equals + 1) }
      jar = jar.filter((old) => !(old.origin === origin && old.path === path && old.name === one.name))
      const isGone = attributes.some((attribute) => /^max-age=0$|^expires=Thu, 01 Jan 1970/i.test(attribute))
      if (!isGone) jar.push(one)
    }
  }
  const cookies = (address: string) =>
    sent(address)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
  return {
    cookies,
    cookie: (address, name) => sent(address).find((one) => one.name === name)?.value,
    open: async (address, form) => {
      let [url, body] = [address, form && new URLSearchParams(form)]
      for (let hops = 0; hops <= mostRedirects; hops++) {
        const headers = { cookie: cookies(url) }
        const answer = await fetch(
          url,
          body ? { method: 'POST', body, headers, redirect: 'manual' } : { headers, redirect: 'manual' },
        )
        keep(url, answer)
        const location = answer.headers.get('location')
        if (location === null) return { url, status: answer.status, text: await answer.text() }
        await answer.body?.cancel()
        ;[url, body] = [new URL(location, url).href, undefined]
      }
      throw new Error(`${address} redirects more than ${mostRedirects} times`)
    },
  }
}

/** Begins a login of Berth through a provider, gives a name there and agrees; answers the page of Berth that it ends on. */
export async function logInThrough(browser: Browser, berthUrl: string, provider: string, name: string) {
  let page = await browser.open(`${berthUrl}/api/v1/oidc/${provider}/login?returnTo=/`)
  for (let steps = 0; steps < 3 && new URL(page.url).pathname.startsWith('/interaction/'); steps++) {
    const isLogin = page.text.includes('name="password"')
    const form: Record<string, string> = isLogin
      ? { prompt: 'login', login: name, password: 'any' }
      : { prompt: 'consent' }
    page = await browser.open(page.url, form)
  }
  return page
}
