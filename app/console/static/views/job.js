/** One job as it goes on: its state, how far it is, what it says, and what came of it. */
import { call } from '../core/api.js'
import { follow } from '../core/events.js'
import { html, useEffect, useState } from '../core/html.js'
import { useLoad } from '../core/loading.js'
import { go, link } from '../core/router.js'
import { may } from '../core/session.js'
import { stateLabel, t } from '../core/words.js'
import { Announce, Button, Card, Loading, Name, Notice, ProblemNotice, Progress, State, Title, Took, When } from '../parts/basics.js'
import { confirm } from '../parts/dialog.js'
import { toast, tried } from '../parts/toast.js'
import { Files, Log } from '../parts/traces.js'
import { Result } from '../result/result.js'

/** Lines that are shown; the service keeps as many. */
const MOST_LINES = 1000

/** The job from its events, and at first from its result. */
function useJob(id) {
  const { data, problem, reload } = useLoad(`/results/${encodeURIComponent(id)}`)
  const [live, setLive] = useState({ job: null, progress: null, lines: [] })
  const isThere = Boolean(data)
  useEffect(() => {
    if (!isThere) return undefined
    return follow(id, (name, event) => {
      setLive(old => {
        if (name === 'log') return { ...old, lines: [...old.lines, event].slice(-MOST_LINES) }
        if (name === 'progress') return { ...old, progress: event }
        return { ...old, job: event.job || (old.job && { ...old.job, state: event.state }) }
      })
      if (name === 'state' && event.ready) reload()
    })
  }, [id, isThere])
  const newest = data && data.ready ? data : live.job || data
  const progress = live.progress || (newest && newest.progress)
  return { job: newest, progress, lines: live.lines, problem, reload }
}

export function Job({ id }) {
  const { job, progress, lines, problem, reload } = useJob(id)
  useEffect(() => void (document.title = `${job ? `${stateLabel(job.state)}: ${job.task}` : t('Job')} · Taskgate`), [job && job.state])
  if (!job) {
    return html`<${Title} below=${html`<code>${id}</code>`}>${t('Job')}<//>${problem ? html`<${ProblemNotice} problem=${problem} />` : html`<${Loading} />`}`
  }
  const said = job.ready ? stateLabel(job.state) : progress ? [progress.total ? `${progress.current} / ${progress.total}` : progress.current, progress.message].filter(Boolean).join(', ') : stateLabel(job.state)
  return html`
    <${Title} beside=${html`<${Actions} job=${job} reload=${reload} />`} below=${html`<code class="id">${job.task_id}</code><${Copy} text=${job.task_id} />`}><${Name} of=${job.task} /><//>
    <${Announce} text=${said} />
    <${Card} kind="job-head">
      <div class="line"><${State} state=${job.state} /></div>
      ${(progress || !job.ready) && job.state !== 'PENDING' && html`<${Progress} ...${progress || { current: 0, total: null, message: '' }}
        ...${job.state === 'SUCCESS' && progress.total ? { current: progress.total } : {}} state=${job.ready ? job.state : 'live'} />`}
      <${Times} job=${job} />
    <//>
    ${job.error && html`<${Notice} kind=${job.state === 'FAILURE' ? 'bad' : 'warn'} title=${job.error.type}>${job.error.message}<//>`}
    ${job.traceback && html`<details class="card trace"><summary>${t('Traceback')}</summary><pre tabindex="0">${job.traceback}</pre></details>`}
    ${job.successful && html`<${Result} value=${job.result} />`}
    ${job.files.length > 0 && html`<${Files} files=${job.files} />`}
    <${Log} lines=${lines} isOver=${job.ready} />
  `
}

function Copy({ text }) {
  if (!navigator.clipboard) return null
  const copy = () => tried(() => navigator.clipboard.writeText(text), t('Copied.'))
  return html`<${Button} small icon="copy" kind="ghost" aria-label=${t('Copy the id')} onClick=${copy} />`
}

function Times({ job }) {
  const related = [
    [t('Runs again'), job.retry_of, 'jobs'],
    [t('Run again as'), job.retried_as, 'jobs'],
    [t('Batch'), job.batch_id, 'batches'],
  ].filter(([, id]) => id)
  return html`
    <dl class="facts wide">
      <div><dt>${t('Submitted')}</dt><dd><${When} at=${job.submitted_at} /></dd></div>
      ${job.next_run_at && html`<div><dt>${t('Runs at')}</dt><dd><${When} at=${job.next_run_at} /></dd></div>`}
      <div><dt>${t('Started')}</dt><dd><${When} at=${job.started_at} /></dd></div>
      <div><dt>${job.ready ? t('Ended') : t('Running for')}</dt><dd>${job.ready ? html`<${When} at=${job.finished_at} />` : html`<${Took} from=${job.started_at} />`}</dd></div>
      ${job.ready && html`<div><dt>${t('Took')}</dt><dd><${Took} from=${job.started_at} to=${job.finished_at} /></dd></div>`}
      ${job.retries > 0 && html`<div><dt>${t('Further tries')}</dt><dd>${job.retries}</dd></div>`}
      ${job.owner && html`<div><dt>${t('Owner')}</dt><dd>${job.owner}</dd></div>`}
      ${related.map(([name, id, view]) => html`<div key=${name}><dt>${name}</dt><dd><a href=${link(view, id)}><code>${id.slice(0, 8)}</code></a></dd></div>`)}
      ${job.schedule_id && html`<div><dt>${t('Schedule')}</dt><dd><a href=${link('schedules')}>${t('of a schedule')}</a></dd></div>`}
    </dl>
  `
}

function Actions({ job, reload }) {
  const [isAsked, ask] = useState(false)
  const cancel = async terminate => {
    const question = terminate ? t('End the process that runs this job, in the midst of what it does?') : t('Cancel this job?')
    if (!(await confirm(question, terminate ? t('End it') : t('Cancel it')))) return
    if (await tried(() => call('DELETE', `/jobs/${encodeURIComponent(job.task_id)}${terminate ? '?terminate=true' : ''}`), t('It has been asked to stop.'))) {
      ask(true)
      reload()
    }
  }
  const retry = async () => {
    const made = await tried(() => call('POST', `/jobs/${encodeURIComponent(job.task_id)}/retry`, { body: {}, more: { 'Idempotency-Key': `console-retry-${job.task_id}-${Date.now()}` } }))
    if (!made) return
    toast(t('Submitted again, as a new job.'))
    go(link('jobs', made.task_id))
  }
  if (job.ready) return may('submit') && html`<${Button} icon="retry" kind=${job.state === 'FAILURE' ? 'primary' : ''} onClick=${retry}>${t('Run again')}<//>`
  if (!may('cancel')) return null
  return html`
    ${isAsked && job.started_at && html`<${Button} kind="danger" onClick=${() => cancel(true)}>${t('End its process')}<//>`}
    <${Button} icon="stop" onClick=${() => cancel(false)}>${t('Cancel')}<//>
  `
}
