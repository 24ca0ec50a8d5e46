import { basic } from '../berth/basic.ts'
import { abilities, type Target } from './wire.ts'

/** Berth does all of it. */
export const everything = Object.fromEntries(abilities.map((ability) => [ability, true])) as Target['supports']

/** A Berth as the checks see a registry, with the administrator's Basic credentials on every request. */
export function berthTarget(berth: { url: string; user: string; password: string }): Target {
  return { name: 'berth', url: berth.url, headers: { authorization: basic(berth) }, supports: everything }
}
