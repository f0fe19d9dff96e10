/** A word that comes and goes: what has been done, or why not. It is also said aloud. */
import { html } from '../core/html.js'
import { shared, useShared } from '../core/shared.js'

const shown = shared(null)
let timer = null

export function toast(text, { kind = 'good', href } = {}) {
  clearTimeout(timer)
  shown.set({ text, kind, href })
  timer = setTimeout(() => shown.set(null), 7000)
}

/** Do it, and say so when it does not work. Returns what it returned, or undefined. */
export async function tried(action, done) {
  try {
    const result = await action()
    if (done) toast(done)
    return result === undefined || result === null ? true : result
  } catch (problem) {
    toast(problem.message, { kind: 'bad' })
    return undefined
  }
}

export function Toast() {
  const now = useShared(shown)
  return html`
    <div class="toasts" role="status" aria-live="polite">
      ${now && html`<div class=${`toast ${now.kind}`}>${now.href ? html`<a href=${now.href}>${now.text}</a>` : now.text}</div>`}
    </div>
  `
}
