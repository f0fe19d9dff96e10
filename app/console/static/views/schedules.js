/** Schedules: when they run next, pausing one, running one now. */
import { call, query as words } from '../core/api.js'
import { duration, fullTime, relative, time } from '../core/format.js'
import { html, useEffect } from '../core/html.js'
import { useLoad } from '../core/loading.js'
import { link } from '../core/router.js'
import { may, session } from '../core/session.js'
import { t } from '../core/words.js'
import { Button, Card, Empty, Loading, Notice, ProblemNotice, Title, When } from '../parts/basics.js'
import { Pager, usePages } from '../parts/pager.js'
import { toast, tried } from '../parts/toast.js'

export function Schedules() {
  const pages = usePages('')
  const { data, problem, reload } = useLoad(`/schedules${words({ limit: 50, cursor: pages.cursor })}`, 10000)
  useEffect(() => void (document.title = `${t('Schedules')} · Taskgate`), [])
  return html`
    <${Title} below=${t('What is submitted by itself, and when next.')}>${t('Schedules')}<//>
    <${ProblemNotice} problem=${problem} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && data.schedules.length === 0 && html`<${Card}><${Empty} icon="schedules" title=${t('No schedules yet.')}>${t('POST /api/1.0/schedules makes one.')}<//><//>`}
    ${data && html`<ul class="schedules">${data.schedules.map(one => html`<li key=${one.id}><${Schedule} one=${one} reload=${reload} /></li>`)}</ul>
      <${Pager} pages=${pages} next=${data.next} />`}
  `
}

function Schedule({ one, reload }) {
  const isMine = one.source === 'api' && may('submit')
  const runs = may('submit') && (one.source === 'api' || may('admin'))
  const path = `/schedules/${encodeURIComponent(one.id)}`
  const pause = async () => {
    const done = one.enabled ? t('Paused. What falls due meanwhile is not run later.') : t('It goes on.')
    await tried(() => call('PATCH', path, { body: { enabled: !one.enabled } }), done)
    reload()
  }
  const run = async () => {
    const job = await tried(() => call('POST', `${path}/run`, { body: {}, more: { 'Idempotency-Key': `console-run-${one.id}-${Date.now()}` } }))
    if (job) toast(t('{task} was submitted.', { task: job.task }), { href: link('jobs', job.task_id) })
    reload()
  }
  const timing = one.cron ? html`<code>${one.cron}</code>${one.timezone ? ` ${one.timezone}` : ''}` : t('every {time}', { time: duration(one.every) })
  return html`
    <article class=${`card schedule ${one.enabled ? '' : 'paused'}`}>
      <header><div><h2>${one.name || one.task}</h2><p class="below">${one.name && one.name !== one.task ? html`${one.task} · ` : ''}${timing}</p></div>
        <span class=${`state ${one.enabled ? 'good' : 'off'}`}>${one.enabled ? t('On') : t('Paused')}</span></header>
      <div class="next"><h3>${t('Next')}</h3>
        ${one.next_runs.length === 0 ? html`<p class="help">${t('Not before it goes on.')}</p>` : html`
          <ol>${one.next_runs.map((at, index) => html`<li key=${at}><time datetime=${at} title=${fullTime(at)}>${time(at)}</time>${index === 0 && html`<small>${relative(at)}</small>`}</li>`)}</ol>`}
      </div>
      ${one.error && html`<${Notice} kind="bad" title=${t('Its last turn submitted nothing.')}>${one.error}<//>`}
      ${one.missed_at && html`<p class="help">${t('Passed over:')} <${When} at=${one.missed_at} /></p>`}
      <footer>
        <span class="help">${one.last_run_at ? html`${t('Last:')} <${When} at=${one.last_run_at} ago />` : t('Has not run yet.')}
          ${one.last_task_id && html` · <a href=${link('jobs', one.last_task_id)}>${t('its job')}</a>`}
          ${one.source === 'code' && html` · ${t('stands in the code')}`}${one.owner && one.owner !== session.value.principal ? ` · ${one.owner}` : ''}</span>
        <span class="actions">
          ${isMine && html`<${Button} small icon=${one.enabled ? 'pause' : 'play'} onClick=${pause} aria-label=${`${one.enabled ? t('Pause') : t('Go on')}: ${one.name || one.task}`}>${one.enabled ? t('Pause') : t('Go on')}<//>`}
          ${runs && html`<${Button} small icon="play" onClick=${run} aria-label=${`${t('Run now')}: ${one.name || one.task}`}>${t('Run now')}<//>`}
        </span>
      </footer>
    </article>
  `
}
