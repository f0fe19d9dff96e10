/** One field of a form, by its schema, with its name, its help, its limits and what is wrong with it. */
import { html } from '../core/html.js'
import { t } from '../core/words.js'
import { Button } from '../parts/basics.js'
import { limits } from './check.js'
import { FileField } from './file_field.js'
import { held, kindOf, mayBeNull, plain } from './schema.js'

/** Only what is said of the field itself, in words. */
const messagesOf = errors => (Array.isArray(errors) ? errors : errors && errors._schema ? errors._schema : [])

export const inside = (errors, name) => (errors && !Array.isArray(errors) ? errors[name] : undefined)

export function Field(props) {
  const schema = plain(props.schema)
  const kind = kindOf(schema)
  if (kind === 'group') return html`<${Group} ...${props} schema=${schema} />`
  if (kind === 'list') return html`<${List} ...${props} schema=${schema} />`
  return html`<${Simple} ...${props} schema=${schema} kind=${kind} />`
}

const Errors = ({ id, errors }) =>
  messagesOf(errors).length > 0 && html`<p class="error" id=${`${id}-error`}>${messagesOf(errors).join(' ')}</p>`

function Help({ id, schema }) {
  const text = [schema.description, limits(schema)].filter(Boolean)
  return text.length > 0 && html`<p class="help" id=${`${id}-help`}>${text.join(' · ')}</p>`
}

const Optional = ({ isRequired }) => !isRequired && html`<small class="optional">${t('optional')}</small>`

function described(id, schema, errors) {
  const names = [messagesOf(errors).length && `${id}-error`, (schema.description || limits(schema)) && `${id}-help`].filter(Boolean)
  return {
    id,
    'aria-describedby': names.join(' ') || undefined,
    'aria-invalid': messagesOf(errors).length ? 'true' : undefined,
  }
}

function Simple({ id, name, schema, kind, value, onChange, errors, isRequired }) {
  const attributes = { ...described(id, schema, errors), 'aria-required': isRequired && !mayBeNull(schema) ? 'true' : undefined }
  if (kind === 'boolean' && !mayBeNull(schema)) {
    return html`
      <div class="field check">
        <label><input type="checkbox" ...${attributes} checked=${value} onChange=${event => onChange(event.target.checked)} /> ${name}</label>
        <${Errors} id=${id} errors=${errors} /><${Help} id=${id} schema=${schema} />
      </div>
    `
  }
  return html`
    <div class="field">
      <label for=${id}>${name}<${Optional} isRequired=${isRequired} /></label>
      <${Input} attributes=${attributes} schema=${schema} kind=${kind} value=${value} onChange=${onChange} isRequired=${isRequired} />
      <${Errors} id=${id} errors=${errors} /><${Help} id=${id} schema=${schema} />
    </div>
  `
}

const INPUTS = { string: 'text', time: 'datetime-local', date: 'date' }

function Input({ attributes, schema, kind, value, onChange, isRequired }) {
  const change = event => onChange(event.target.value)
  if (kind === 'file') return html`<${FileField} attributes=${attributes} value=${value} onChange=${onChange} />`
  if (kind === 'choice' || kind === 'boolean') {
    const options = kind === 'boolean' ? [true, false] : schema.enum.filter(each => each !== null)
    const put = event => onChange(kind === 'boolean' ? (event.target.value === '' ? null : event.target.value === 'true') : event.target.value)
    const shown = value === null ? '' : String(value)
    return html`<select ...${attributes} value=${shown} onChange=${put}>
      ${(!isRequired || shown === '') && html`<option value="">${isRequired ? t('Choose…') : '–'}</option>`}
      ${options.map(each => html`<option key=${String(each)} value=${JSON.stringify(each)}>${each === true ? t('Yes') : each === false ? t('No') : each}</option>`)}
    </select>`
  }
  if (kind === 'text' || kind === 'json') {
    return html`<textarea ...${attributes} class=${kind === 'json' ? 'code' : ''} rows=${kind === 'json' ? 5 : 4} spellcheck=${kind === 'text' ? 'true' : 'false'}
      value=${value} onInput=${change} placeholder=${kind === 'json' ? '{ }' : ''} />`
  }
  const isNumber = kind === 'integer' || kind === 'number'
  return html`<input ...${attributes} type=${isNumber ? 'text' : INPUTS[kind]} inputmode=${isNumber ? 'decimal' : undefined}
    autocomplete="off" value=${value} onInput=${change} placeholder=${schema.examples ? String(schema.examples[0]) : ''} />`
}

function Group({ id, name, schema, value, onChange, errors, isRequired }) {
  return html`
    <fieldset class="group">
      <legend>${name}<${Optional} isRequired=${isRequired} /></legend>
      <${Help} id=${id} schema=${schema} /><${Errors} id=${id} errors=${errors} />
      <${Fields} id=${id} schema=${schema} value=${value} onChange=${onChange} errors=${errors} />
    </fieldset>
  `
}

function List({ id, name, schema, value, onChange, errors, isRequired }) {
  const add = () => onChange([...value, held(plain(schema.items))])
  const remove = at => onChange(value.filter((_, other) => other !== at))
  const put = (at, next) => onChange(value.map((each, other) => (other === at ? next : each)))
  return html`
    <fieldset class="group list">
      <legend>${name}<${Optional} isRequired=${isRequired} /></legend>
      <${Help} id=${id} schema=${schema} /><${Errors} id=${id} errors=${errors} />
      ${value.map((each, at) => html`
        <div class="entry" key=${at}>
          <${Field} id=${`${id}-${at}`} name=${`${at + 1}`} schema=${schema.items} value=${each} onChange=${next => put(at, next)}
            errors=${inside(errors, at)} isRequired />
          <${Button} small icon="close" aria-label=${t('Remove entry {n} of {name}', { n: at + 1, name })} onClick=${() => remove(at)}>${t('Remove')}<//>
        </div>`)}
      <${Button} small icon="plus" id=${`${id}-add`} onClick=${add} disabled=${schema.maxItems && value.length >= schema.maxItems}
        aria-label=${t('Add an entry to {name}', { name })}>${t('Add')}<//>
    </fieldset>
  `
}

/** The members of an object. */
export function Fields({ id, schema, value, onChange, errors }) {
  const needed = schema.required || []
  // What is needed stands first; else the order is the author's.
  const names = Object.keys(schema.properties || {})
  const ordered = [...names.filter(name => needed.includes(name)), ...names.filter(name => !needed.includes(name))]
  return ordered.map(name => html`
    <${Field} key=${name} id=${`${id}-${name}`} name=${name} schema=${schema.properties[name]} value=${value[name]} isRequired=${needed.includes(name)}
      errors=${inside(errors, name)} onChange=${next => onChange({ ...value, [name]: next })} />`)
}
