/** The form of a task: its params, when and where to run, and submitting it once. */
import { html, useRef, useState } from '../core/html.js'
import { submit } from '../core/outbox.js'
import { go, link } from '../core/router.js'
import { may } from '../core/session.js'
import { t } from '../core/words.js'
import { Button, Notice } from '../parts/basics.js'
import { toast } from '../parts/toast.js'
import { check } from './check.js'
import { Fields } from './field.js'
import { held, sent } from './schema.js'

const OPTIONS = queues => ({
  properties: {
    delay: { type: ['number', 'null'], minimum: 0, description: t('Not before so many seconds from now.') },
    priority: { type: ['integer', 'null'], minimum: 0, maximum: 9, description: t('0 is the most urgent.') },
    ...(queues.length > 1 ? { queue: { type: ['string', 'null'], enum: queues, description: t('Where it waits.') } } : {}),
  },
})

export function JobForm({ task }) {
  const options = OPTIONS(task.queues)
  const [values, setValues] = useState(() => held(task.params))
  const [wishes, setWishes] = useState(() => held({ type: 'object', ...options }))
  const [errors, setErrors] = useState({})
  const [problem, setProblem] = useState(null)
  const [isBusy, setBusy] = useState(false)
  const form = useRef(null)

  function show(found, message) {
    setErrors(found)
    setProblem(message)
    // Once it is drawn: to what is wrong first, or to what is said of the whole.
    setTimeout(() => (form.current.querySelector('[aria-invalid=true]') || form.current.querySelector('[role=alert]'))?.focus(), 50)
  }

  async function send(event) {
    event.preventDefault()
    const found = check(task.params, values) || {}
    const wrong = check({ type: 'object', ...options }, wishes, false)
    if (Object.keys(found).length || wrong) return show({ ...found, ...wrong }, t('Some fields want another look.'))
    setBusy(true)
    setErrors({})
    setProblem(null)
    try {
      const job = await submit(task.name, sent(task.params, values, true), sent({ type: 'object', ...options }, wishes, true))
      if (job) return go(link('jobs', job.task_id))
      toast(t('Kept here. It is sent once the connection is back.'), { kind: 'info' })
      setValues(held(task.params)) // or a second press would be a second job
    } catch (error) {
      show(error.errors || {}, error.message)
    }
    return setBusy(false)
  }

  const known = { ...task.params.properties, ...options.properties }
  const others = Object.entries(errors).filter(([name]) => !(name in known))
  return html`
    <form class="card" ref=${form} onSubmit=${send} noValidate>
      <h2>${t('New job')}</h2>
      ${problem && html`<div role="alert" tabindex="-1"><${Notice} kind="bad" title=${problem}>
        ${others.length > 0 && html`<ul>${others.map(([name, said]) => html`<li key=${name}>${name === '_schema' ? '' : `${name}: `}${[said].flat().map(each => (typeof each === 'string' ? each : JSON.stringify(each))).join(' ')}</li>`)}</ul>`}<//></div>`}
      ${Object.keys(task.params.properties || {}).length === 0 && html`<p class="help">${t('This task takes no params.')}</p>`}
      <${Fields} id="p" schema=${task.params} value=${values} onChange=${setValues} errors=${errors} />
      <details><summary>${t('When and where')}</summary>
        <${Fields} id="o" schema=${options} value=${wishes} onChange=${setWishes} errors=${errors} />
      </details>
      ${!may('submit') && html`<${Notice} kind="warn">${t('Your key lacks the scope {scope}.', { scope: 'submit' })}<//>`}
      <div class="actions"><${Button} type="submit" kind="primary" icon="play" busy=${isBusy} disabled=${!may('submit')}>${t('Submit')}<//></div>
    </form>
  `
}
