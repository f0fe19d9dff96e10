/** Who is signed in. The key goes to the service once and is then in a cookie's place that no script can read. */
import { call, onSignedOut } from './api.js'
import { shared } from './shared.js'

/** undefined until it is known, null for nobody, else `{principal, scopes, idempotency_ttl}`. */
export const session = shared(undefined)

/** Why there is nobody any more, for the page to say. */
export const signedOutBy = shared(null)

const known = answer => (answer.principal ? answer : null)

export async function findSession() {
  session.set(known(await call('GET', '/console/session')))
}

export async function signIn(key) {
  const answer = await call('POST', '/console/session', { body: { key } })
  signedOutBy.set(null)
  session.set(known(answer))
}

export async function signOut() {
  await call('DELETE', '/console/session')
  session.set(null)
}

/** Whether the key may do that; `admin` stands for all. */
export const may = scope => {
  const scopes = session.value ? session.value.scopes : []
  return scopes.includes(scope) || scopes.includes('admin')
}

onSignedOut(() => {
  if (session.value) signedOutBy.set('over')
  session.set(null)
})
