/** Calls to the API: problem documents as errors, and what every call tells of the connection and the session. */
import { connection, isLost, isUp, probe } from './connection.js'
import { language } from './preferences.js'

export const API = '/api/1.0'

/** An answer that is an error: `errors` are its messages by field. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail || body.title || `HTTP ${status}`)
    Object.assign(this, { status, errors: body.errors || {}, requestId: body.request_id, retryAfter })
  }
}

/** No answer at all, so that nobody knows whether the call was done. */
export class Disconnected extends Error {}

let whenSignedOut = () => {}

/** Have this called when the session turns out to be over. */
export function onSignedOut(listener) {
  whenSignedOut = listener
}

export const headers = () => ({ 'X-Taskgate-Console': '1', 'Accept-Language': language.value === 'zh' ? 'zh-CN, en;q=0.5' : 'en' })

export const address = path => (path.startsWith('/console') || path.startsWith(API) ? path : API + path)

/** The JSON of the answer, or null; `more` are headers. Throws Problem, Disconnected, and AbortError by `signal`. */
export async function call(method, path, { body, more = {}, signal } = {}) {
  const content = body === undefined ? {} : { 'Content-Type': 'application/json' }
  let answer
  try {
    answer = await fetch(address(path), {
      method,
      signal,
      cache: 'no-store',
      credentials: 'same-origin',
      headers: { ...headers(), ...content, ...more },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
  } catch (error) {
    if (error.name === 'AbortError') throw error
    isLost()
    throw new Disconnected(error.message)
  }
  return read(answer, path)
}

async function read(answer, path) {
  const isJson = (answer.headers.get('Content-Type') || '').includes('json')
  let body
  try {
    body = isJson ? await answer.json() : null
  } catch (error) {
    isLost() // it broke off
    throw new Disconnected(error.message)
  }
  if (answer.ok) {
    if (connection.value !== 'up') isUp()
    return body
  }
  if ((answer.status === 502 || answer.status === 504) && !isJson) {
    isLost() // a proxy answers in the place of the service
    throw new Disconnected(answer.statusText)
  }
  if (answer.status === 503) probe()
  if (answer.status === 401 && !path.startsWith('/console')) whenSignedOut()
  throw new Problem(answer.status, body || {}, Number(answer.headers.get('Retry-After')) || undefined)
}

export const get = (path, signal) => call('GET', path, { signal })

export const query = values => {
  const words = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null && each !== '') words.append(name, each)
    }
  }
  const text = words.toString()
  return text ? `?${text}` : ''
}
