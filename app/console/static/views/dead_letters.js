/** Failed jobs that nobody has run again or dropped: look, run one or many again, or put them aside. */
import { call, query as words } from '../core/api.js'
import { html, useEffect, useState } from '../core/html.js'
import { useLoad } from '../core/loading.js'
import { go, link } from '../core/router.js'
import { may, session } from '../core/session.js'
import { counted, t } from '../core/words.js'
import { Button, Card, Empty, Loading, Name, ProblemNotice, Title, When } from '../parts/basics.js'
import { confirm } from '../parts/dialog.js'
import { Pager, usePages } from '../parts/pager.js'
import { toast, tried } from '../parts/toast.js'

export function DeadLetters({ query }) {
  const task = query.get('task') || ''
  const pages = usePages(task)
  const { data, problem, reload } = useLoad(`/dead-letters${words({ task, limit: 50, cursor: pages.cursor })}`, 15000)
  const tasks = useLoad('/tasks')
  const [chosen, choose] = useState([])
  const [isBusy, setBusy] = useState(false)
  useEffect(() => void (document.title = `${t('Dead letters')} · Taskgate`), [])
  useEffect(() => choose([]), [task, pages.cursor])
  const letters = data ? data.dead_letters : []
  const here = chosen.filter(id => letters.some(letter => letter.task_id === id))
  const isAll = letters.length > 0 && here.length === letters.length

  async function act(what, choice) {
    setBusy(true)
    const answer = await tried(() => call('POST', `/dead-letters/${what}`, { body: choice }))
    setBusy(false)
    if (!answer) return
    const refused = answer.outcomes.filter(outcome => outcome.detail)
    const done = answer.outcomes.length - refused.length
    const text = what === 'retry' ? counted(done, '{n} job runs again.', '{n} jobs run again.') : counted(done, '{n} job was put aside.', '{n} jobs were put aside.')
    toast(refused.length ? `${text} ${refused[0].detail}` : text, { kind: refused.length ? 'bad' : 'good' })
    choose([])
    reload()
  }
  const drop = async ids => (await confirm(counted(ids.length, 'Put {n} job aside? It keeps its error and is not offered here again.', 'Put {n} jobs aside? They keep their errors and are not offered here again.'), t('Put aside'))) && act('drop', { task_ids: ids })
  const retryAll = async () => (await confirm(t('Run up to 1,000 failed jobs of {task} again?', { task }), t('Run them again'))) && act('retry', { task })

  return html`
    <${Title} below=${t('Failed jobs that nobody has run again or put aside, the newest failure first.')}>${t('Dead letters')}<//>
    <form class="filters" onSubmit=${event => event.preventDefault()} aria-label=${t('Filter')}>
      <div class="field"><label for="d-task">${t('Task')}</label>
        <select id="d-task" value=${task} onChange=${event => go(`${link('dead')}${words({ task: event.target.value })}`)}><option value="">${t('All')}</option>
          ${((tasks.data && tasks.data.tasks) || []).map(each => html`<option key=${each.name} value=${each.name}>${each.name}</option>`)}</select></div>
      ${task && may('submit') && html`<${Button} icon="retry" busy=${isBusy} disabled=${!letters.length} onClick=${retryAll}>${t('Run all of this task again')}<//>`}
    </form>
    <${ProblemNotice} problem=${problem} />
    ${!data && !problem && html`<${Loading} />`}
    ${data && letters.length === 0 && html`<${Card}><${Empty} icon="check" title=${t('Nothing has failed.')}>${t('Or all of it has been seen to.')}<//><//>`}
    ${letters.length > 0 && html`
      <${Card} kind="flush">
        <div class="choosing">
          <label class="check"><input type="checkbox" checked=${isAll} onChange=${() => choose(isAll ? [] : letters.map(letter => letter.task_id))} /> ${t('All on this page')}</label>
          <span class="actions">
            ${may('submit') && html`<${Button} small icon="retry" kind="primary" busy=${isBusy} disabled=${!here.length} onClick=${() => act('retry', { task_ids: here })}>${here.length ? counted(here.length, 'Run {n} again', 'Run {n} again') : t('Run again')}<//>`}
            ${may('cancel') && html`<${Button} small disabled=${!here.length || isBusy} onClick=${() => drop(here)}>${t('Put aside')}<//>`}
          </span>
        </div>
        <ul class="rows">${letters.map(letter => html`
          <li key=${letter.task_id} class="row letter">
            <input type="checkbox" aria-label=${t('Choose {id}', { id: letter.task_id })} checked=${here.includes(letter.task_id)}
              onChange=${event => choose(event.target.checked ? [...here, letter.task_id] : here.filter(id => id !== letter.task_id))} />
            <div class="what"><a href=${link('jobs', letter.task_id)}><b><${Name} of=${letter.task} /></b> <code>${letter.task_id.slice(0, 8)}</code></a>
              ${letter.error && html`<p class="why"><b>${letter.error.type}</b> ${letter.error.message}</p>`}</div>
            <span class="when">${letter.owner !== session.value.principal && html`<small>${letter.owner}</small>`}<${When} at=${letter.failed_at} ago /></span>
            ${may('submit') && html`<${Button} small icon="retry" disabled=${isBusy} aria-label=${t('Run {id} again', { id: letter.task_id })} onClick=${() => act('retry', { task_ids: [letter.task_id] })}>${t('Run again')}<//>`}
          </li>`)}</ul>
      <//>
      <${Pager} pages=${pages} next=${data.next} />`}
  `
}
