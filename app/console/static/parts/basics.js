/** The small parts that every view is made of. */
import { html, useEffect, useRef, useState } from '../core/html.js'
import { duration, fullTime, relative, time } from '../core/format.js'
import { stateLabel, t } from '../core/words.js'
import { Icon } from './icons.js'

export const Button = ({ icon, kind = '', small, busy, children, ...more }) => html`
  <button type="button" ...${more} class=${`button ${kind} ${small ? 'small' : ''}`} aria-busy=${busy ? 'true' : undefined}
    disabled=${more.disabled || busy}>
    ${icon && html`<${Icon} name=${icon} size=${16} />`}<span>${children}</span>
  </button>
`

const TONES = { SUCCESS: 'good', FAILURE: 'bad', STARTED: 'live', PROGRESS: 'live', RETRY: 'warn', REVOKED: 'off', PENDING: 'off' }

export const State = ({ state }) => html`<span class=${`state ${TONES[state] || 'off'}`}>${stateLabel(state)}</span>`

/** What it is at, for everybody; what it says, for who looks. `text` is put beside the bar. */
export function Progress({ current, total, message, state }) {
  const share = total ? Math.min(current / total, 1) : null
  const percent = share === null ? null : Math.round(share * 100)
  return html`
    <div class=${`progress ${state || ''}`}>
      <div class="bar" role="progressbar" aria-label=${t('Progress')} aria-valuemin="0" aria-valuemax="100"
        aria-valuenow=${percent === null ? undefined : percent}
        aria-valuetext=${percent === null ? t('under way') : `${percent} %, ${current} / ${total}`}>
        <div class=${share === null ? 'fill endless' : 'fill'} style=${{ width: share === null ? '30%' : `${share * 100}%` }} />
      </div>
      <div class="said"><span>${message || ''}</span><span class="numbers">${total ? `${current} / ${total} · ${percent} %` : current || ''}</span></div>
    </div>
  `
}

export const Card = ({ title, actions, children, kind = '' }) => html`
  <section class=${`card ${kind}`}>
    ${(title || actions) && html`<header><h2>${title}</h2>${actions && html`<div class="actions">${actions}</div>`}</header>`}
    ${children}
  </section>
`

export const Notice = ({ kind = 'info', title, children, role }) => html`
  <div class=${`notice ${kind}`} role=${role}>${title && html`<strong>${title}</strong>`}<div>${children}</div></div>
`

/** The name of a task, which may be broken after a dot or an underscore. */
export const Name = ({ of }) => (of || t('unknown task')).split(/(?<=[._])/).map((part, at) => html`${at > 0 && html`<wbr />`}${part}`)

/** A problem as the service has said it. */
export const ProblemNotice = ({ problem }) =>
  problem && html`<${Notice} kind="bad" role="alert" title=${t('That did not work.')}>${problem.message}<//>`

export const Empty = ({ icon = 'jobs', title, children }) => html`
  <div class="empty"><${Icon} name=${icon} size=${28} /><p class="title">${title}</p><p>${children}</p></div>
`

/** While nothing is there yet. It shows itself after a moment only: most answers are sooner. */
export const Loading = () => html`<div class="loading" role="status"><span class="unseen">${t('Loading…')}</span><i /><i /><i /></div>`

export const When = ({ at, ago }) => {
  const [, draw] = useState(0)
  useEffect(() => {
    if (!ago) return undefined
    const timer = setInterval(() => draw(n => n + 1), 10000)
    return () => clearInterval(timer)
  }, [ago])
  return at ? html`<time datetime=${at} title=${fullTime(at)}>${ago ? relative(at) : time(at)}</time>` : html`<span>–</span>`
}

/** How long something has taken, or is taking. */
export function Took({ from, to }) {
  const [, draw] = useState(0)
  useEffect(() => {
    if (!from || to) return undefined
    const timer = setInterval(() => draw(n => n + 1), 1000)
    return () => clearInterval(timer)
  }, [from, to])
  if (!from) return html`<span>–</span>`
  return html`<span class="numbers">${duration(Math.max(0, ((to ? new Date(to) : new Date()) - new Date(from)) / 1000))}</span>`
}

/** Says it to who does not see it, at a pace that can be listened to. */
export function Announce({ text, pace = 4000 }) {
  const [said, say] = useState('')
  const last = useRef(0)
  useEffect(() => {
    const wait = Math.max(0, last.current + pace - Date.now())
    const timer = setTimeout(() => {
      last.current = Date.now()
      say(text)
    }, wait)
    return () => clearTimeout(timer)
  }, [text, pace])
  return html`<div class="unseen" role="status" aria-live="polite">${said}</div>`
}

export const Title = ({ children, beside, below }) => html`
  <header class="title"><div><h1 tabindex="-1">${children}</h1>${below && html`<p class="below">${below}</p>`}</div>
    ${beside && html`<div class="actions">${beside}</div>`}</header>
`
