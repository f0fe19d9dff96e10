/** Batches, and one of them: how many of its jobs are in which state. */
import { call, query as words } from '../core/api.js'
import { number } from '../core/format.js'
import { html, useEffect, useState } from '../core/html.js'
import { useLoad } from '../core/loading.js'
import { link } from '../core/router.js'
import { may } from '../core/session.js'
import { counted, stateLabel, t } from '../core/words.js'
import { Announce, Button, Card, Empty, Loading, ProblemNotice, State, Title, Took, When } from '../parts/basics.js'
import { confirm } from '../parts/dialog.js'
import { JobList } from '../parts/job_list.js'
import { Pager, usePages } from '../parts/pager.js'
import { tried } from '../parts/toast.js'

const ORDER = ['SUCCESS', 'FAILURE', 'REVOKED', 'STARTED', 'PROGRESS', 'RETRY', 'PENDING']
const PAGE = 25

const over = counts => (counts.SUCCESS || 0) + (counts.FAILURE || 0) + (counts.REVOKED || 0)

/** A bar in which each state has its share. */
function Shares({ batch }) {
  const total = batch.accepted || 1
  const said = ORDER.filter(state => batch.counts[state]).map(state => `${batch.counts[state]} ${stateLabel(state)}`).join(', ')
  return html`<div class="shares" role="img" aria-label=${said || t('Empty')}>
    ${ORDER.filter(state => batch.counts[state]).map(state => html`<i key=${state} class=${state.toLowerCase()} style=${{ width: `${(batch.counts[state] / total) * 100}%` }} />`)}</div>`
}

export function Batches() {
  const pages = usePages('')
  const { data, problem } = useLoad(`/batches${words({ limit: PAGE, cursor: pages.cursor })}`, 5000)
  useEffect(() => void (document.title = `${t('Batches')} · Taskgate`), [])
  return html`
    <${Title} below=${t('Many jobs that were submitted at once.')}>${t('Batches')}<//>
    <${ProblemNotice} problem=${problem} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && html`<${Card} kind="flush">
      ${data.batches.length === 0 && html`<${Empty} icon="batches" title=${t('No batches yet.')}>${t('POST /api/1.0/batches submits one.')}<//>`}
      <ul class="rows">${data.batches.map(batch => html`
        <li key=${batch.batch_id}><a class="row batch" href=${link('batches', batch.batch_id)}>
          <span class="what"><b>${counted(batch.total, '{n} job', '{n} jobs')}</b><code>${batch.batch_id.slice(0, 8)}</code></span>
          <${Shares} batch=${batch} />
          <span class="numbers">${number(over(batch.counts))} / ${number(batch.accepted)}</span>
          <span class="when"><${When} at=${batch.submitted_at} ago /></span></a></li>`)}</ul><//>
      <${Pager} pages=${pages} next=${data.next} />`}
  `
}

export function Batch({ id }) {
  const [state, setState] = useState('')
  const pages = usePages(state)
  const path = `/batches/${encodeURIComponent(id)}`
  const { data, problem, reload } = useLoad(`${path}${words({ state, limit: PAGE, cursor: pages.cursor })}`, 2500)
  useEffect(() => void (document.title = `${t('Batch')} · Taskgate`), [])
  if (!data) return html`<${Title} below=${html`<code>${id}</code>`}>${t('Batch')}<//>${problem ? html`<${ProblemNotice} problem=${problem} />` : html`<${Loading} />`}`
  const cancel = async () => {
    if (!(await confirm(t('Cancel all jobs of this batch that have not ended?'), t('Cancel them')))) return
    await tried(() => call('DELETE', path), t('They have been asked to stop.'))
    reload()
  }
  const beside = !data.ready && may('cancel') && html`<${Button} icon="stop" onClick=${cancel}>${t('Cancel')}<//>`
  return html`
    <${Title} beside=${beside} below=${html`<code class="id">${data.batch_id}</code>`}>${t('Batch')}<//>
    <${Announce} text=${t('{done} of {all} jobs have ended.', { done: over(data.counts), all: data.accepted })} pace=${10000} />
    <${Card}>
      <div class="line"><span class=${`state ${data.ready ? 'good' : 'live'}`}>${data.ready ? t('Over') : t('Under way')}</span>
        <span class="numbers">${number(over(data.counts))} / ${number(data.accepted)}</span></div>
      <${Shares} batch=${data} />
      <div class="legend" role="group" aria-label=${t('Show the jobs in this state')}>
        ${['', ...ORDER].filter(each => each === '' || data.counts[each]).map(each => html`
          <button key=${each} type="button" aria-pressed=${String(state === each)} onClick=${() => setState(each)}>
            ${each && html`<i class=${each.toLowerCase()} />`}${each ? stateLabel(each) : t('All')} <b>${number(each ? data.counts[each] : data.accepted)}</b></button>`)}
      </div>
      <dl class="facts wide">
        <div><dt>${t('Submitted')}</dt><dd><${When} at=${data.submitted_at} /></dd></div>
        <div><dt>${t('Ended')}</dt><dd><${When} at=${data.finished_at} /></dd></div>
        <div><dt>${t('Took')}</dt><dd><${Took} from=${data.submitted_at} to=${data.finished_at} /></dd></div>
        ${data.total > data.accepted && html`<div><dt>${t('Refused')}</dt><dd>${number(data.total - data.accepted)}</dd></div>`}
        ${data.then && html`<div><dt>${t('Then')}</dt><dd>${data.then.state ? html`<a href=${link('jobs', data.then.task_id)}>${data.then.task}</a> <${State} state=${data.then.state} />` : data.then.task}</dd></div>`}
      </dl>
    <//>
    <${Card} title=${t('Its jobs')} kind="flush"><${JobList} jobs=${data.jobs} /><//>
    <${Pager} pages=${pages} next=${data.next} />
  `
}
