import { StartupError } from '@berth/service'
import { expect, test } from '@jest/globals'
import { requireAddresses } from './require-addresses.ts'
import { hostSettings } from './settings.ts'

const settings = hostSettings('tasks', ['auth', 'catalog'])
const [http, https] = [{ authUrl: 'http://a' }, { authUrl: 'https://a' }].map((one) => ({
  ...one,
  natsUrl: 'nats://n',
}))

test.each([
  [
    'http for calls that are encrypted',
    { ...http, catalogUrl: 'https://c' },
    true,
    /CERT is set and BERTH_AUTH_URL does not/,
  ],
  ['several of them', { ...http, catalogUrl: 'http://c' }, true, /BERTH_AUTH_URL, BERTH_CATALOG_URL do not begin/],
  [
    'https for calls that are not',
    { ...https, catalogUrl: 'http://c' },
    false,
    /BERTH_AUTH_URL begins with https:.* not set/,
  ],
])('addresses of services with %s are refused by name', (_, config, isEncrypted, said) => {
  const refused = () => requireAddresses(settings, config, isEncrypted)
  expect(refused).toThrow(StartupError)
  expect(refused).toThrow(said)
})

test('addresses that go with the calls are let in, and those of other servers are not looked at', () => {
  requireAddresses(settings, { ...https, catalogUrl: 'https://c' }, true)
  requireAddresses(settings, { ...http, catalogUrl: undefined }, false)
})
