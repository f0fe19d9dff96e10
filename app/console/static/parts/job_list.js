/** Jobs one below the other, each a way to its page. */
import { html } from '../core/html.js'
import { link } from '../core/router.js'
import { Name, State, Took, When } from './basics.js'

export const JobList = ({ jobs, short }) => html`
  <ul class=${short ? 'rows short' : 'rows'}>
    ${jobs.map(job => html`
      <li key=${job.task_id}><a class="row job" href=${link('jobs', job.task_id)}>
        <span class="what">${!short && html`<b><${Name} of=${job.task} /></b>`}<code>${job.task_id.slice(0, 8)}</code></span>
        <span class="how">${job.state === undefined ? html`<span class="state off">${job.title}</span>` : html`<${State} state=${job.state} />`}
          ${job.progress && !job.ready && job.progress.total ? html`<small>${Math.round((job.progress.current / job.progress.total) * 100)} %</small>` : ''}</span>
        ${!short && html`<span class="took"><${Took} from=${job.started_at} to=${job.finished_at || (job.started_at && !job.ready ? null : job.started_at)} /></span>`}
        <span class="when"><${When} at=${job.submitted_at} ago /></span>
      </a></li>`)}
  </ul>
`
