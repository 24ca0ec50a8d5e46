/** The Authorization header of the administrator; /v2 takes it too. */
export function basic({ user, password }: { user: string; password: string }): string {
  return `Basic ${btoa(`${user}:${password}`)}`
}
