import { badField } from '@berth/service'
import { isLabelKey, labelKeyHint } from './check-labels.ts'

/** Which labels are wanted: all of `equal` and `present`, none of `different`. A missing label is different from any value. */
export type LabelSelector = {
  equal: Record<string, string>
  different: Record<string, string>[]
  present: string[]
}

const mostTerms = 32

/** Reads `team=payments,env!=prod,tier`: equality, inequality, presence; a comma means "and". Throws 400 with the term. */
export function parseSelector(text: string, field = 'labels'): LabelSelector {
  const terms = text.split(',')
  if (terms.length > mostTerms) throw badField(field, `has ${terms.length} terms, and takes ${mostTerms} at most`)
  const selector: LabelSelector = { equal: {}, different: [], present: [] }
  for (const term of terms) {
    const at = term.indexOf('=')
    const differs = at > 0 && term[at - 1] === '!'
    const key = at < 0 ? term : term.slice(0, differs ? at - 1 : at)
    if (!isLabelKey(key))
      throw badField(
        field,
        `"${term.slice(0, 200)}" names no label`,
        `Write key=value, key!=value or key. ${labelKeyHint}`,
      )
    const value = term.slice(at + 1)
    if (at < 0) selector.present.push(key)
    else if (differs) selector.different.push({ [key]: value })
    else if (Object.hasOwn(selector.equal, key) && selector.equal[key] !== value)
      throw badField(
        field,
        `wants two values of "${key}" at once`,
        'A label has one value; leave one of the terms out.',
      )
    else selector.equal[key] = value
  }
  return selector
}

/**
 * The SQL condition of a selector on a column of labels; values are appended to `values`, and named by their places there. An
 * index on the column serves equality and presence.
 */
export function selectorCondition(column: string, selector: LabelSelector, values: unknown[]): string {
  const place = (value: unknown) => `$${values.push(value)}`
  const { equal, different, present } = selector
  return [
    ...(Object.keys(equal).length > 0 ? [`${column} @> ${place(JSON.stringify(equal))}::jsonb`] : []),
    ...(present.length > 0 ? [`${column} ?& ${place(present)}::text[]`] : []),
    ...different.map((label) => `not ${column} @> ${place(JSON.stringify(label))}::jsonb`),
  ].join(' and ')
}
