/** A question before what cannot be taken back, as the browser's own modal dialog. */
import { html, useEffect, useRef } from '../core/html.js'
import { shared, useShared } from '../core/shared.js'
import { t } from '../core/words.js'
import { Button } from './basics.js'

const asked = shared(null)

/** Resolves to whether the answer was yes. */
export function confirm(question, yes) {
  return new Promise(resolve => asked.set({ question, yes, resolve }))
}

export function Dialog() {
  const now = useShared(asked)
  const dialog = useRef(null)
  useEffect(() => {
    if (now && dialog.current && !dialog.current.open) dialog.current.showModal()
  }, [now])
  if (!now) return null
  const answer = value => {
    asked.set(null)
    now.resolve(value)
  }
  return html`
    <dialog ref=${dialog} aria-labelledby="question" onClose=${() => answer(false)}>
      <p id="question">${now.question}</p>
      <div class="actions">
        <${Button} onClick=${() => answer(false)}>${t('No, leave it')}<//>
        <${Button} kind="primary" onClick=${() => answer(true)}>${now.yes}<//>
      </div>
    </dialog>
  `
}
