/** What can be submitted, and submitting it. */
import { duration, number } from '../core/format.js'
import { html, useEffect, useState } from '../core/html.js'
import { useLoad } from '../core/loading.js'
import { link } from '../core/router.js'
import { counted, t } from '../core/words.js'
import { JobForm } from '../form/job_form.js'
import { Card, Empty, Loading, Name, ProblemNotice, Title } from '../parts/basics.js'
import { JobList } from '../parts/job_list.js'

export function Tasks() {
  const { data, problem } = useLoad('/tasks')
  const [wanted, setWanted] = useState('')
  useEffect(() => void (document.title = `${t('Tasks')} · Taskgate`), [])
  if (!data) return html`<${Title}>${t('Tasks')}<//>${problem ? html`<${ProblemNotice} problem=${problem} />` : html`<${Loading} />`}`
  const found = data.tasks.filter(task => `${task.name} ${task.summary}`.toLowerCase().includes(wanted.toLowerCase()))
  const packages = Map.groupBy ? Map.groupBy(found, task => task.name.split('.')[0]) : grouped(found)
  return html`
    <${Title} below=${t('Choose what to run. Each has a form made of what it takes.')}>${t('Tasks')}<//>
    ${data.tasks.length > 6 && html`<div class="field search"><label for="wanted" class="unseen">${t('Search')}</label>
      <input id="wanted" type="search" placeholder=${t('Search')} value=${wanted} onInput=${event => setWanted(event.target.value)} /></div>`}
    ${[...packages].map(([name, tasks]) => html`
      <section key=${name} aria-labelledby=${`of-${name}`}><h2 class="group-name" id=${`of-${name}`}>${name}</h2>
        <ul class="tiles">${tasks.map(task => html`
          <li key=${task.name}><a class="tile" href=${link('tasks', task.name)}>
            <b>${task.name.split('.').slice(1).join('.') || task.name}</b><span>${task.summary}</span>
            <small>${fieldsOf(task)} · ${t('queue {name}', { name: task.queue })}</small></a></li>`)}
        </ul></section>`)}
    ${found.length === 0 && html`<${Empty} icon="tasks" title=${t('No task is like that.')} />`}
  `
}

const fieldsOf = task => counted(Object.keys(task.params.properties || {}).length, '{n} param', '{n} params')

function grouped(tasks) {
  const groups = new Map()
  for (const task of tasks) {
    const name = task.name.split('.')[0]
    groups.set(name, [...(groups.get(name) || []), task])
  }
  return groups
}

export function Task({ id }) {
  const { data, problem } = useLoad(`/tasks/${encodeURIComponent(id)}`)
  const recent = useLoad(`/jobs?limit=5&task=${encodeURIComponent(id)}`, 10000)
  useEffect(() => void (document.title = `${id} · Taskgate`), [id])
  const above = html`<${Title} below=${data && data.summary}><${Name} of=${id} /><//>`
  if (!data) return html`${above}${problem ? html`<${ProblemNotice} problem=${problem} />` : html`<${Loading} />`}`
  // Its lines are of the docstring's width; paragraphs are its own.
  const more = data.description.slice(data.summary.length).trim().replace(/(?<!\n)\n(?!\n)/g, ' ')
  return html`
    ${above}
    <div class="columns">
      <${JobForm} key=${data.name} task=${data} />
      <div class="aside">
        ${more && html`<${Card} title=${t('What it does')}><p class="prose">${more}</p><//>`}
        <${Card} title=${t('Limits')}><${Limits} task=${data} /><//>
        <${Card} title=${t('Your newest')} actions=${html`<a href=${`${link('jobs')}?task=${encodeURIComponent(id)}`}>${t('All')}</a>`}>
          ${recent.data && recent.data.jobs.length > 0 ? html`<${JobList} jobs=${recent.data.jobs} short />` : html`<p class="help">${t('None yet.')}</p>`}
        <//>
      </div>
    </div>
  `
}

function Limits({ task }) {
  const { limits } = task
  const unique = { owner: t('one of yours'), params: t('one with the same params'), task: t('one for all') }[task.unique]
  const rows = [
    [t('Queue'), task.queue],
    [t('Time limit'), limits.time_limit && duration(limits.time_limit)],
    [t('Further tries'), limits.max_retries],
    [t('Rate'), limits.rate_limit],
    [t('At a time'), unique],
    [t('Your unfinished jobs'), limits.owner_limit && `≤ ${number(limits.owner_limit)}`],
  ].filter(([, value]) => value !== null && value !== undefined && value !== 0)
  return html`<dl class="facts">${rows.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}
