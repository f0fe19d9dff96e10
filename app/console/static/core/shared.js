/** A value that several components show: whoever uses it is drawn anew when it changes. */
import { useEffect, useState } from './html.js'

export function shared(value) {
  const listeners = new Set()
  return {
    get value() {
      return value
    },
    set(next) {
      if (next === value) return
      value = next
      for (const listener of [...listeners]) listener(next)
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

export function useShared(of) {
  const [value, set] = useState(of.value)
  useEffect(() => {
    set(of.value)
    return of.subscribe(set)
  }, [of])
  return value
}
