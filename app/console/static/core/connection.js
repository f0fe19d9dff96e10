/** Whether the service can be reached: found out by every request, and while it cannot be, by asking again. */
import { shared } from './shared.js'

/** `up`; `lost`: nothing answers; `unready`: the service answers, and what it needs (Redis, the database) does not. */
export const connection = shared('up')

const listeners = new Set()
const WAITS = [1000, 2000, 4000, 8000]
let timer = null
let tries = 0

/** Call it whenever the connection is back. */
export function onRecovery(listener) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function isUp() {
  clearTimeout(timer)
  timer = null
  tries = 0
  if (connection.value === 'up') return
  connection.set('up')
  for (const listener of [...listeners]) listener()
}

export function isLost(how = 'lost') {
  connection.set(how)
  if (timer === null) timer = setTimeout(probe, WAITS[Math.min(tries++, WAITS.length - 1)])
}

/** Ask now. */
export async function probe() {
  clearTimeout(timer)
  timer = null
  try {
    const answer = await fetch('/readyz', { cache: 'no-store', signal: AbortSignal.timeout(8000) })
    if (answer.ok) isUp()
    else isLost('unready')
  } catch {
    isLost()
  }
}

addEventListener('online', probe)
addEventListener('offline', () => isLost())
