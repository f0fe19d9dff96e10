/** Signing in with an API key. */
import { html, useEffect, useRef, useState } from '../core/html.js'
import { connection } from '../core/connection.js'
import { signIn, signedOutBy } from '../core/session.js'
import { useShared } from '../core/shared.js'
import { t } from '../core/words.js'
import { Button, Notice } from '../parts/basics.js'
import { Preferences } from '../parts/frame.js'
import { Logo } from '../parts/icons.js'

export function SignIn() {
  const [key, setKey] = useState('')
  const [problem, setProblem] = useState(null)
  const [isBusy, setBusy] = useState(false)
  const field = useRef(null)
  const why = useShared(signedOutBy)
  const line = useShared(connection)
  useEffect(() => {
    document.title = `${t('Sign in')} · Taskgate`
    field.current.focus()
  }, [])
  const send = async event => {
    event.preventDefault()
    setBusy(true)
    setProblem(null)
    try {
      await signIn(key)
    } catch (error) {
      setProblem(error.status === 422 ? t('This API key is unknown, revoked or over.') : error.message)
      setBusy(false)
      field.current.focus()
    }
  }
  return html`
    <main class="sign-in">
      <form class="card" onSubmit=${send}>
        <${Logo} size=${44} />
        <h1>${t('Sign in to Taskgate')}</h1>
        ${why === 'over' && html`<${Notice} kind="info">${t('Your session is over. Sign in again to go on.')}<//>`}
        ${line !== 'up' && html`<${Notice} kind="warn" role="status">${t('The service does not answer at the moment.')}<//>`}
        <div class="field">
          <label for="key">${t('API key')}</label>
          <input id="key" ref=${field} type="password" name="key" autocomplete="current-password" spellcheck="false" required
            value=${key} onInput=${event => setKey(event.target.value)} placeholder="tg_…"
            aria-invalid=${problem ? 'true' : undefined} aria-describedby=${problem ? 'key-error key-help' : 'key-help'} />
          ${problem && html`<p class="error" id="key-error" role="alert">${problem}</p>`}
          <p class="help" id="key-help">${t('manage.py keys create NAME makes one. On a development machine it is in var/dev.key.')}</p>
        </div>
        <${Button} type="submit" kind="primary wide" busy=${isBusy}>${t('Sign in')}<//>
        <p class="help">${t('The key is sent once and not kept by this page.')}</p>
      </form>
      <${Preferences} />
    </main>
  `
}
