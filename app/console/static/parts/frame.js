/** The frame of the page: where one can go, who one is, and how the connection stands. */
import { html, useEffect, useRef, useState } from '../core/html.js'
import { connection } from '../core/connection.js'
import { discard, discardMine, sendWaiting, submit, waiting } from '../core/outbox.js'
import { language, setLanguage, setTheme, theme } from '../core/preferences.js'
import { link, route } from '../core/router.js'
import { may, session, signOut } from '../core/session.js'
import { useShared } from '../core/shared.js'
import { counted, t } from '../core/words.js'
import { Button } from './basics.js'
import { confirm } from './dialog.js'
import { Icon, Logo } from './icons.js'
import { tried } from './toast.js'

const places = () => [
  ['tasks', 'tasks', t('Tasks')],
  ['jobs', 'jobs', t('Jobs')],
  ['batches', 'batches', t('Batches')],
  ['schedules', 'schedules', t('Schedules')],
  ['dead', 'dead', t('Dead letters')],
  ...(may('metrics') ? [['system', 'system', t('Queues')]] : []),
]

export function Frame({ children }) {
  const { view } = useShared(route)
  const [isOpen, open] = useState(false)
  const toggle = useRef(null)
  useEffect(() => open(false), [view])
  const onKey = event => {
    if (event.key !== 'Escape' || !isOpen) return
    open(false)
    toggle.current.focus()
  }
  return html`
    <a class="skip" href="#main" onClick=${skip}>${t('Skip to the content')}</a>
    <div class="frame" onKeyDown=${onKey}>
      <header class="side">
        <div class="brand"><a href="#/tasks"><${Logo} />Taskgate</a>
          <button ref=${toggle} class="menu" type="button" aria-expanded=${String(isOpen)} aria-controls="places" onClick=${() => open(!isOpen)}>
            <${Icon} name=${isOpen ? 'close' : 'menu'} size=${22} /><span class="unseen">${t('Menu')}</span>
          </button>
        </div>
        <div id="places" class=${isOpen ? 'places open' : 'places'}>
          <nav aria-label=${t('Places')}><ul>
            ${places().map(([name, icon, text]) => html`
              <li key=${name}><a href=${link(name)} aria-current=${name === view ? 'page' : undefined}><${Icon} name=${icon} />${text}</a></li>`)}
          </ul></nav>
          <${Person} />
        </div>
      </header>
      <main id="main" tabindex="-1"><${Connection} /><${Waiting} />${children}</main>
    </div>
  `
}

function skip(event) {
  event.preventDefault() // the address says where one is
  document.getElementById('main').focus()
}

/** Language and colours; also where nobody is signed in. */
export function Preferences() {
  const [now, colours] = [useShared(language), useShared(theme)]
  return html`
    <div class="preferences">
      <div><label class="unseen" for="language">Language · 语言</label>
        <select id="language" value=${now} onChange=${event => setLanguage(event.target.value)}>
          <option value="en" lang="en">English</option><option value="zh" lang="zh-CN">中文</option>
        </select></div>
      <div><label class="unseen" for="colours">${t('Colours')}</label>
        <select id="colours" value=${colours} onChange=${event => setTheme(event.target.value)}>
          <option value="system">${t('System')}</option><option value="light">${t('Light')}</option><option value="dark">${t('Dark')}</option>
        </select></div>
    </div>
  `
}

function Person() {
  const who = useShared(session)
  const leave = async () => {
    const held = waiting.value.length
    const question = counted(held, '{n} submission has not been sent. Signing out drops it.', '{n} submissions have not been sent. Signing out drops them.')
    if (held && !(await confirm(question, t('Sign out')))) return
    if (held) discardMine()
    await tried(signOut)
  }
  return html`
    <div class="person">
      <a class="quiet" href="/docs/" target="_blank" rel="noopener"><${Icon} name="code" />${t('API reference')}</a>
      <${Preferences} />
      <div class="who"><span title=${(who.scopes || []).join(', ')}><b>${who.principal}</b><small>${who.scopes.join(', ')}</small></span>
        <${Button} small icon="out" onClick=${leave}>${t('Sign out')}<//></div>
    </div>
  `
}

function Connection() {
  const state = useShared(connection)
  const text = {
    lost: t('No connection. What you see is what was last known; it goes on by itself when the connection is back.'),
    unready: t('The service is not ready: what it needs does not answer. It goes on by itself.'),
  }[state]
  return html`<div role="status" aria-live="polite">${text && html`<div class="banner"><i class="pulse" />${text}</div>`}</div>`
}

function Waiting() {
  const held = useShared(waiting)
  const isUp = useShared(connection) === 'up'
  const onceMore = async entry => {
    discard(entry.id)
    await tried(() => submit(entry.task, entry.params, entry.options))
  }
  useEffect(() => void (isUp && sendWaiting()), [isUp])
  const refused = held.filter(entry => entry.problem)
  const count = held.length - refused.length
  return html`
    <div role="status">${count > 0 && !isUp && html`<div class="banner waiting">
      ${counted(count, '{n} submission is kept here and is sent once the connection is back.', '{n} submissions are kept here and are sent once the connection is back.')}</div>`}</div>
    ${refused.map(entry => html`<div class="banner refused" key=${entry.id} role="alert">
      <span><b>${entry.task}</b> ${entry.problem === 'old' ? t('was sent too long ago to be sent again safely: it may have been accepted. Look among the jobs.') : entry.problem}</span>
      <span class="actions"><${Button} small onClick=${() => onceMore(entry)}>${t('Send as a new one')}<//>
      <${Button} small onClick=${() => discard(entry.id)}>${t('Drop it')}<//></span></div>`)}
  `
}
