/** Queues and workers: how deep, how old, how fast. */
import { duration, number } from '../core/format.js'
import { html, useEffect } from '../core/html.js'
import { useLoad } from '../core/loading.js'
import { may } from '../core/session.js'
import { t } from '../core/words.js'
import { Card, Empty, Loading, Notice, ProblemNotice, Title } from '../parts/basics.js'

const EVERY = 4000
const BRIEF = 5000

/** How many jobs ended a minute, between the samples of the last hour and up to now. */
function endedAMinute({ at, ended, history }) {
  const now = { at, ended: ended.SUCCESS + ended.FAILURE + ended.REVOKED }
  const samples = [...history, now].map(each => ({ at: Date.parse(each.at), ended: each.ended }))
  const pairs = samples.slice(1).map((each, place) => ({ took: each.at - samples[place].at, ended: each.ended - samples[place].ended }))
  return pairs.filter(({ took }) => took > BRIEF).map(({ took, ended }) => Math.max((ended / took) * 60000, 0))
}

/** By their signs, which is quick, and beside them those that give none and have to be asked, such as a stock Celery's. */
function useWorkers() {
  const signs = useLoad('/workers', 8000)
  const asked = useLoad('/workers?ask=true', 60000)
  if (!signs.data) return signs
  const silent = asked.data ? asked.data.workers.filter(worker => worker.last_sign === null) : []
  return { ...signs, data: { workers: [...signs.data.workers, ...silent] } }
}

export function System() {
  const queues = useLoad('/queues', EVERY)
  const workers = useWorkers()
  useEffect(() => void (document.title = `${t('Queues and workers')} · Taskgate`), [])
  if (!may('metrics')) return html`<${Title}>${t('Queues and workers')}<//><${Notice} kind="warn">${t('Your key lacks the scope {scope}.', { scope: 'metrics' })}<//>`
  const now = queues.data
  return html`
    <${Title} below=${t('The whole deployment, whichever process is asked.')}>${t('Queues and workers')}<//>
    <${ProblemNotice} problem=${queues.problem} />
    ${!now && !queues.problem && html`<${Loading} />`}
    ${now && html`
      <div class="figures">
        <${Figure} name=${t('Ended a minute')} value=${now.per_minute ? number(Math.round(now.per_minute.ended)) : '–'}><${Spark} values=${endedAMinute(now)} /><//>
        <${Figure} name=${t('Not ended')} value=${number(now.unfinished)} below=${now.oldest_unfinished !== null && t('the oldest for {time}', { time: duration(now.oldest_unfinished) })} />
        <${Figure} name=${t('With workers')} value=${now.held === null ? '–' : number(now.held)} />
        <${Figure} name=${t('For later')} value=${now.delayed === null ? '–' : number(now.delayed)} />
        <${Figure} name=${t('Dead letters')} value=${number(now.dead_letters)} kind=${now.dead_letters ? 'bad' : ''} href="#/dead" />
      </div>
      <${Card} title=${t('Queues')} kind="flush">${now.queues === null ? html`<p class="help">${t('The broker is not a Redis; it has a view of its queues itself.')}</p>` : html`<${Queues} queues=${now.queues} workers=${workers.data} />`}<//>`}
    <${Card} title=${t('Workers')} kind="flush">
      <${ProblemNotice} problem=${workers.problem} />
      ${!workers.data && !workers.problem && html`<${Loading} />`}
      ${workers.data && html`<${Workers} workers=${workers.data.workers} />`}
    <//>
  `
}

const Figure = ({ name, value, below, kind = '', href, children }) => html`
  <div class=${`figure ${kind}`}><span class="name">${href ? html`<a href=${href}>${name}</a>` : name}</span><b>${value}</b>${below && html`<small>${below}</small>`}${children}</div>
`

function Spark({ values }) {
  if (values.length < 2) return null
  const top = Math.max(...values, 1)
  const points = values.map((each, at) => `${(at / (values.length - 1)) * 100},${28 - (each / top) * 26}`)
  return html`<svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true"><path d=${`M${points.join('L')}`} /></svg>`
}

function Queues({ queues, workers }) {
  const most = Math.max(...queues.map(queue => queue.waiting), 1)
  const consumers = name => (workers ? workers.workers.filter(worker => worker.queues.includes(name)).length : null)
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t('Queues')}><table class="queues">
      <thead><tr><th scope="col">${t('Queue')}</th><th scope="col" class="numbers">${t('Waiting')}</th><th scope="col"><span class="unseen">${t('Share')}</span></th>
        <th scope="col" class="numbers">${t('The next waits for')}</th><th scope="col" class="numbers">${t('Workers')}</th></tr></thead>
      <tbody>${queues.map(queue => html`<tr key=${queue.name}><th scope="row">${queue.name}</th><td class="numbers">${number(queue.waiting)}</td>
        <td class="depth"><i style=${{ width: `${(queue.waiting / most) * 100}%` }} /></td>
        <td class="numbers">${queue.oldest === null ? '–' : duration(queue.oldest)}</td>
        <td class="numbers">${consumers(queue.name) === 0 ? html`<span class="state bad">${t('none')}</span>` : consumers(queue.name) ?? '…'}</td></tr>`)}</tbody>
    </table></div>
  `
}

function Workers({ workers }) {
  if (!workers.length) return html`<${Empty} icon="system" title=${t('No worker is up.')}>${t('What is submitted is kept until one is there.')}<//>`
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t('Workers')}><table>
      <thead><tr><th scope="col">${t('Name')}</th><th scope="col">${t('Queues')}</th><th scope="col">${t('Pool')}</th><th scope="col" class="numbers">${t('Running')}</th>
        <th scope="col" class="numbers">${t('Jobs taken')}</th><th scope="col" class="numbers">${t('Up for')}</th></tr></thead>
      <tbody>${workers.map(worker => html`<tr key=${worker.name}><th scope="row">${worker.name}</th><td>${worker.queues.join(', ')}</td><td>${worker.pool}</td>
        <td class="numbers">${worker.running ?? '–'} / ${worker.concurrency}</td><td class="numbers">${number(worker.taken)}</td><td class="numbers">${duration(worker.uptime)}</td></tr>`)}</tbody>
    </table></div>
  `
}
