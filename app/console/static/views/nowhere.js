/** An address of the console at which there is nothing. */
import { html } from '../core/html.js'
import { t } from '../core/words.js'
import { Empty, Title } from '../parts/basics.js'

export const Nowhere = () => html`
  <${Title}>${t('There is nothing here')}<//>
  <${Empty} title=${t('The address leads nowhere.')}><a href="#/tasks">${t('Go to the tasks')}</a><//>
`
