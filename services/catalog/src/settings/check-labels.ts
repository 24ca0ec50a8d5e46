import { badField } from '@berth/service'

const keyRule = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$/
// Controls could not be shown, and a comma ends a term of a selector.
const valueRule = /^[^\p{C},]*$/u

/** What a key of a label may be, in words. */
export const labelKeyHint =
  'A key has 1 to 128 letters, digits, ".", "_", "-" and "/", and begins and ends with a letter or digit.'

export function isLabelKey(key: string): boolean {
  return keyRule.test(key)
}

/** Checks the grammar of labels; how many and how long they are is the schema's matter. Throws 400 that names the label. */
export function checkLabels(labels: Record<string, string>, field = 'labels'): void {
  for (const [key, value] of Object.entries(labels)) {
    if (!isLabelKey(key)) throw badField(`${field}.${key.slice(0, 128)}`, 'is not a key of a label', labelKeyHint)
    if (!valueRule.test(value))
      throw badField(
        `${field}.${key}`,
        'holds a comma or a character that cannot be shown',
        'Leave such characters out.',
      )
  }
}
