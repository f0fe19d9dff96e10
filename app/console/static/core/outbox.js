/**
 * Submissions, each under an idempotency key from the moment it is made: kept until the service has answered, and sent
 * again under the same key when no answer came, so that it is one job however often the line breaks.
 */
import { Disconnected, Problem, call, query } from './api.js'
import { connection, onRecovery } from './connection.js'
import { session } from './session.js'
import { shared } from './shared.js'

const PLACE = 'taskgate.outbox'

/** A tenth is kept back for clocks that differ: a key that is forgotten would make a second job. */
const MARGIN = 0.9

function stored() {
  try {
    return JSON.parse(localStorage.getItem(PLACE)) || []
  } catch {
    return []
  }
}

let entries = stored()

/** Mine that wait: `{id, task, params, options, madeAt, sentAt, problem}`; with a problem they wait for a person. */
export const waiting = shared([])

function write(change) {
  entries = change(stored().length || !entries.length ? stored() : entries)
  try {
    localStorage.setItem(PLACE, JSON.stringify(entries))
  } catch {
    // Storage is full or turned off: they are kept for as long as this page is.
  }
  show()
}

const mine = () => entries.filter(entry => session.value && entry.principal === session.value.principal)
const show = () => waiting.set(mine())
const update = (id, values) => write(all => all.map(each => (each.id === id ? { ...each, ...values } : each)))

export const discard = id => write(all => all.filter(each => each.id !== id))

export const discardMine = () => write(all => all.filter(each => !session.value || each.principal !== session.value.principal))

/** 128 random bits; crypto.randomUUID is there over HTTPS only. */
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('')
}

/** The job that was accepted, or null when it waits for the connection. Throws Problem for a refusal: nothing is kept. */
export async function submit(task, params, options = {}) {
  const { principal } = session.value
  const entry = { id: newId(), principal, task, params, options, madeAt: Date.now(), sentAt: null, problem: null }
  write(all => [...all, entry])
  try {
    return await send(entry)
  } catch (problem) {
    if (problem instanceof Problem && !isPassing(problem)) {
      discard(entry.id)
      throw problem
    }
    return null
  }
}

async function send(entry) {
  if (!entry.sentAt) update(entry.id, { sentAt: Date.now() })
  const path = `/tasks/${encodeURIComponent(entry.task)}/jobs${query(entry.options)}`
  const job = await call('POST', path, { body: entry.params, more: { 'Idempotency-Key': entry.id } })
  discard(entry.id)
  return job
}

const isPassing = problem => problem.status === 503 || problem.status === 401

const listeners = new Set()

/** Be told of each job that has been accepted after a wait. */
export function onSent(listener) {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

let isSending = false

/** Send what waits, the oldest first. What is refused waits for a person. */
export async function sendWaiting() {
  if (isSending || !session.value) return
  isSending = true
  try {
    for (const entry of mine().filter(each => !each.problem)) {
      if (connection.value !== 'up') return
      await sendOne(entry)
    }
  } catch (error) {
    if (!(error instanceof Disconnected || error instanceof Problem)) throw error
  } finally {
    isSending = false
  }
}

async function sendOne(entry) {
  const age = entry.sentAt ? (Date.now() - entry.sentAt) / 1000 : 0
  if (age > session.value.idempotency_ttl * MARGIN) {
    update(entry.id, { problem: 'old' })
    return
  }
  try {
    const job = await send(entry)
    for (const listener of listeners) listener(job)
  } catch (problem) {
    if (!(problem instanceof Problem) || isPassing(problem) || problem.status === 429) throw problem
    update(entry.id, { problem: problem.message })
  }
}

onRecovery(sendWaiting)
session.subscribe(() => {
  show()
  sendWaiting()
})
addEventListener('storage', event => {
  if (event.key !== PLACE) return
  entries = stored()
  show()
})
setInterval(() => waiting.value.length && sendWaiting(), 15000)
