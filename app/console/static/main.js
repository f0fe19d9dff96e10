/** Where the console begins: who is signed in, and the view that the address names. */
import { html, render, useEffect, useRef } from './core/html.js'
import { connection, onRecovery } from './core/connection.js'
import { onSent } from './core/outbox.js'
import { language } from './core/preferences.js'
import { link, route } from './core/router.js'
import { findSession, session } from './core/session.js'
import { useShared } from './core/shared.js'
import { t } from './core/words.js'
import { Loading } from './parts/basics.js'
import { Dialog } from './parts/dialog.js'
import { Frame } from './parts/frame.js'
import { Toast, toast } from './parts/toast.js'
import { Batch, Batches } from './views/batches.js'
import { DeadLetters } from './views/dead_letters.js'
import { Job } from './views/job.js'
import { Jobs } from './views/jobs.js'
import { Nowhere } from './views/nowhere.js'
import { Schedules } from './views/schedules.js'
import { SignIn } from './views/sign_in.js'
import { System } from './views/system.js'
import { Task, Tasks } from './views/tasks.js'

const VIEWS = {
  tasks: [Tasks, Task],
  jobs: [Jobs, Job],
  batches: [Batches, Batch],
  schedules: [Schedules],
  dead: [DeadLetters],
  system: [System],
}

function Console() {
  const who = useShared(session)
  const now = useShared(route)
  useShared(language)
  const isFirst = useRef(true)
  const key = `${now.view}/${now.id || ''}`
  useEffect(() => {
    if (!who) return
    // The view's name becomes the page's, and a reader is taken to it, but for the first time.
    const heading = document.querySelector('main h1')
    if (heading && !isFirst.current) heading.focus({ preventScroll: true })
    if (!isFirst.current) scrollTo(0, 0)
    isFirst.current = false
  }, [key, who])
  if (who === undefined) return html`<${Loading} />`
  if (who === null) return html`<${SignIn} /><${Toast} />`
  const [List, Single] = VIEWS[now.view] || [Nowhere]
  const View = now.id ? Single || Nowhere : List
  return html`<${Frame}><${View} key=${`${key} ${language.value}`} id=${now.id} query=${now.query} /><//><${Dialog} /><${Toast} />`
}

const start = () => findSession().catch(() => session.value === undefined && session.set(null))

onSent(job => toast(t('{task} was sent.', { task: job.task }), { href: link('jobs', job.task_id) }))
onRecovery(() => session.value || start())
start().then(() => connection.value)
render(html`<${Console} />`, document.getElementById('console'))
