/** One's jobs, newest first, and finding some among them. */
import { query as words } from '../core/api.js'
import { html, useEffect } from '../core/html.js'
import { useLoad } from '../core/loading.js'
import { go, link } from '../core/router.js'
import { may } from '../core/session.js'
import { stateLabel, t } from '../core/words.js'
import { Card, Empty, Loading, ProblemNotice, Title } from '../parts/basics.js'
import { JobList } from '../parts/job_list.js'
import { Pager, usePages } from '../parts/pager.js'

/** STARTED and PROGRESS are one to people. */
const CHOICES = { PENDING: ['PENDING'], STARTED: ['STARTED', 'PROGRESS'], RETRY: ['RETRY'], SUCCESS: ['SUCCESS'], FAILURE: ['FAILURE'], REVOKED: ['REVOKED'] }
const HOURS = { 1: 1, 24: 24, 168: 168 }

function since(hours) {
  if (!HOURS[hours]) return undefined
  const at = new Date(Date.now() - HOURS[hours] * 3600000)
  at.setSeconds(0, 0) // the same address for a while
  return at.toISOString()
}

export function Jobs({ query }) {
  const filter = Object.fromEntries(['task', 'state', 'hours', 'owner'].map(name => [name, query.get(name) || '']))
  const key = JSON.stringify(filter)
  const pages = usePages(key)
  const path = `/jobs${words({ task: filter.task, owner: filter.owner, state: CHOICES[filter.state], since: since(filter.hours), limit: 25, cursor: pages.cursor })}`
  const { data, problem } = useLoad(path, pages.number === 1 ? 5000 : 0)
  const tasks = useLoad('/tasks')
  useEffect(() => void (document.title = `${t('Jobs')} · Taskgate`), [])
  const put = name => event => go(`${link('jobs')}${words({ ...filter, [name]: event.target.value.trim() })}`)
  return html`
    <${Title} below=${may('admin') ? t('Your jobs, newest first. As an admin you can name another owner.') : t('Your jobs, newest first.')}>${t('Jobs')}<//>
    <form class="filters" onSubmit=${event => event.preventDefault()} aria-label=${t('Filter')}>
      <div class="field"><label for="f-task">${t('Task')}</label>
        <select id="f-task" value=${filter.task} onChange=${put('task')}><option value="">${t('All')}</option>
          ${((tasks.data && tasks.data.tasks) || []).map(task => html`<option key=${task.name} value=${task.name}>${task.name}</option>`)}
          ${filter.task && !(tasks.data && tasks.data.tasks.some(task => task.name === filter.task)) && html`<option value=${filter.task}>${filter.task}</option>`}
        </select></div>
      <div class="field"><label for="f-state">${t('State')}</label>
        <select id="f-state" value=${filter.state} onChange=${put('state')}><option value="">${t('All')}</option>
          ${Object.keys(CHOICES).map(state => html`<option key=${state} value=${state}>${stateLabel(state)}</option>`)}</select></div>
      <div class="field"><label for="f-hours">${t('Submitted')}</label>
        <select id="f-hours" value=${filter.hours} onChange=${put('hours')}><option value="">${t('At any time')}</option>
          <option value="1">${t('In the last hour')}</option><option value="24">${t('In the last day')}</option><option value="168">${t('In the last week')}</option></select></div>
      ${may('admin') && html`<div class="field"><label for="f-owner">${t('Owner')}</label>
        <input id="f-owner" value=${filter.owner} placeholder=${t('You')} onChange=${put('owner')} autocomplete="off" /></div>`}
    </form>
    <${ProblemNotice} problem=${problem} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && html`<${Card} kind="flush">${data.jobs.length ? html`<${JobList} jobs=${data.jobs} />` : html`
      <${Empty} title=${t('No jobs here.')}><a href="#/tasks">${t('Submit one')}</a><//>`}<//>
      <${Pager} pages=${pages} next=${data.next} />`}
  `
}
