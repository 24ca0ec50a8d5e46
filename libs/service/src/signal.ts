declare const carried: unique symbol

/** What a committed transaction tells the program that it ran in: a name, and the type of what comes with it. */
export type Signal<Value = void> = { readonly name: string; readonly [carried]?: Value }

/** Makes a signal; it is known by itself, and its name is for people. */
export function createSignal<Value = void>(name: string): Signal<Value> {
  return { name }
}

/** The listeners to the signals of one database. */
export type Listeners = {
  /** Has `listener` called after each commit that raised the signal, with all that it carried; answers how to end that. */
  on: <Value>(signal: Signal<Value>, listener: (values: Value[]) => void) => () => void
  /** Calls those that listen. The change is made, so a listener that throws is told of and keeps no other from hearing. */
  emit: (raised: readonly Raised[]) => void
}

/** A signal that an open transaction has raised. */
export type Raised = { signal: Signal<never>; value: unknown }

type Listener = (values: never[]) => void

/** Makes the listeners of one database. */
export function createListeners(onError: (error: Error) => void): Listeners {
  const listening = new Map<Signal<never>, Set<Listener>>()
  return {
    on: (signal, listener) => {
      const key = signal as Signal<never>
      const known = listening.get(key) ?? new Set<Listener>()
      listening.set(key, known.add(listener))
      return () => void known.delete(listener)
    },
    emit: (raised) => {
      for (const signal of new Set(raised.map((one) => one.signal))) {
        const values = raised.filter((one) => one.signal === signal).map((one) => one.value as never)
        for (const listener of listening.get(signal) ?? []) {
          try {
            listener(values)
          } catch (error) {
            onError(error as Error)
          }
        }
      }
    },
  }
}
