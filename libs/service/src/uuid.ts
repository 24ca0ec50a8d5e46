const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Whether a text is the id of an object, in either case, and so can be compared with a column of type `uuid`. */
export function isUuid(text: string): boolean {
  return uuid.test(text)
}
