/** Tables of a result; a long one shows its beginning, since the JSON and the files have all. */
import { number, time } from '../core/format.js'
import { html, useState } from '../core/html.js'
import { t } from '../core/words.js'
import { Button } from '../parts/basics.js'

const STEP = 100
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/

export const Tables = ({ tables }) => tables.map(table => html`<${Table} key=${table.name} ...${table} />`)

function Table({ name, columns, rows }) {
  const [most, setMost] = useState(STEP)
  if (!columns) {
    return html`${name && html`<h3>${name}</h3>`}<dl class="facts wide">${rows.map(([term, value]) => html`<div key=${term}><dt>${term}</dt><dd>${cell(value)}</dd></div>`)}</dl>`
  }
  const isNumeric = columns.map((_, at) => rows.every(row => row[at] === null || row[at] === undefined || typeof row[at] === 'number'))
  return html`
    ${name && html`<h3>${name}</h3>`}
    <div class="scroll" tabindex="0" role="region" aria-label=${name || t('Result')}>
      <table><thead><tr>${columns.map((column, at) => html`<th key=${column} scope="col" class=${isNumeric[at] ? 'numbers' : ''}>${column}</th>`)}</tr></thead>
        <tbody>${rows.slice(0, most).map((row, index) => html`<tr key=${index}>${row.map((value, at) => html`<td key=${at} class=${isNumeric[at] ? 'numbers' : ''}>${cell(value)}</td>`)}</tr>`)}</tbody>
      </table>
    </div>
    ${rows.length > most && html`<div class="more"><${Button} small onClick=${() => setMost(most + STEP)}>${t('{n} more', { n: number(rows.length - most) })}<//></div>`}
  `
}

function cell(value) {
  if (value === null || value === undefined) return html`<span class="none">–</span>`
  if (typeof value === 'number') return Number.isInteger(value) ? number(value) : new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 }).format(value)
  if (typeof value === 'boolean') return value ? t('Yes') : t('No')
  if (typeof value === 'string') return TIME.test(value) ? time(value) : value
  return html`<code>${JSON.stringify(value)}</code>`
}
