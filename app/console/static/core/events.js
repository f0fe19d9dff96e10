/** A job's own event stream, followed to its end over everything that comes between. */
import { API } from './api.js'
import { connection, isLost, isUp, onRecovery, probe } from './connection.js'
import { findSession } from './session.js'

const NAMES = ['state', 'progress', 'log']
const RETRY = 3000

/** Tell `onEvent(name, data)` of all that is kept and all that comes. Returns what ends it. */
export function follow(taskId, onEvent) {
  let source = null
  let last = '0' // everything that is kept
  let timer = null
  let isOver = false

  function end() {
    isOver = true
    clearTimeout(timer)
    if (source) source.close()
    stopListening()
  }

  function tell(event) {
    last = event.lastEventId || last
    const data = JSON.parse(event.data)
    onEvent(event.type, data)
    if (event.type === 'state' && data.ready && data.job) end()
  }

  function open() {
    clearTimeout(timer)
    if (source) source.close()
    source = new EventSource(`${API}/results/${encodeURIComponent(taskId)}/events?last_event_id=${encodeURIComponent(last)}`)
    for (const name of NAMES) source.addEventListener(name, tell)
    source.onopen = isUp
    source.onerror = async event => {
      if (event.data || isOver) return // told by the service, which goes on, or ends the stream to be asked again
      const { readyState } = source
      await probe() // an end in good order is none of the connection's
      if (isOver || readyState !== EventSource.CLOSED) return
      timer = setTimeout(open, RETRY) // refused, or final: whoever listens has asked for the result by then
      findSession().catch(() => isLost(connection.value === 'up' ? 'unready' : connection.value))
    }
  }

  const stopListening = onRecovery(() => {
    if (!isOver) open() // sooner than the browser would
  })
  open()
  return end
}
