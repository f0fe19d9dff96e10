/** A job's result, as plots where it carries series, as a table where it has the shape of one, and as JSON always. */
import { html, useState } from '../core/html.js'
import { t } from '../core/words.js'
import { Card } from '../parts/basics.js'
import { Plots } from './plot.js'
import { seriesIn, tablesIn } from './shape.js'
import { Tables } from './table.js'

export function Result({ value }) {
  const series = seriesIn(value)
  const tables = tablesIn(value)
  const forms = [series.length && ['plot', t('Plot')], tables.length && ['table', t('Table')], ['json', 'JSON']].filter(Boolean)
  const [chosen, choose] = useState(null)
  const form = chosen || forms[0][0]
  return html`
    <${Card} title=${t('Result')} kind="result" actions=${forms.length > 1 && html`
      <div class="segments" role="group" aria-label=${t('Show it as')}>${forms.map(([name, text]) => html`
        <button key=${name} type="button" aria-pressed=${String(name === form)} onClick=${() => choose(name)}>${text}</button>`)}</div>`}>
      ${form === 'plot' && html`<${Plots} series=${series} />`}
      ${form === 'table' && html`<${Tables} tables=${tables} />`}
      ${form === 'json' && html`<pre class="json" tabindex="0" aria-label=${t('Result')}>${JSON.stringify(value, null, 2)}</pre>`}
    <//>
  `
}
