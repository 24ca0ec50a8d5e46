/** Whether a link is kept for a manifest that is still to come, as SQL: it is of a push of a moment ago. */
export function isKept(link: string): string {
  return `(${link}.linked and ${link}.kept_until > clock_timestamp())`
}
