/** What a view shows of the API: loaded at once, again every so often while somebody looks, and when the line is back. */
import { Disconnected, get } from './api.js'
import { onRecovery } from './connection.js'
import { useEffect, useRef, useState } from './html.js'

/** `{data, problem, reload}`; data of an address before is not shown for another one. `every` is in ms. */
export function useLoad(path, every = 0) {
  const [state, set] = useState({ path: null, data: null, problem: null })
  const load = useRef(() => {})
  useEffect(() => {
    if (!path) return undefined
    const controller = new AbortController()
    let timer = null
    const again = () => {
      clearTimeout(timer)
      if (every && !controller.signal.aborted) timer = setTimeout(() => (document.hidden ? again() : load.current()), every)
    }
    load.current = async () => {
      try {
        const data = await get(path, controller.signal)
        if (!controller.signal.aborted) set({ path, data, problem: null })
      } catch (problem) {
        if (controller.signal.aborted) return
        // What was seen last stays while nobody answers; the page says so once, at its top.
        set(old => ({ path, data: old.path === path ? old.data : null, problem: problem instanceof Disconnected ? null : problem }))
      }
      again()
    }
    load.current()
    const stop = onRecovery(() => load.current())
    return () => {
      controller.abort()
      clearTimeout(timer)
      stop()
    }
  }, [path, every])
  const isCurrent = state.path === path
  return { data: isCurrent ? state.data : null, problem: isCurrent ? state.problem : null, reload: () => load.current() }
}
