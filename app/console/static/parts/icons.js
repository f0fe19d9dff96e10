/** Icons as lines on a grid of 24. They stand beside words, so that they say nothing to screen readers. */
import { html } from '../core/html.js'

const PATHS = {
  tasks: 'M4 5h7v7H4zM13 5h7v7h-7zM4 14h7v5H4zM13 14h7v5h-7z',
  jobs: 'M4 6h16M4 12h16M4 18h10',
  batches: 'M12 3l9 5-9 5-9-5zM3 13l9 5 9-5',
  schedules: 'M12 7v5l3 2M12 3a9 9 0 100 18 9 9 0 000-18z',
  dead: 'M12 8v5M12 16.5v.5M10.3 4L2.7 18a2 2 0 001.7 3h15.2a2 2 0 001.7-3L13.7 4a2 2 0 00-3.4 0z',
  system: 'M3 12h4l3-8 4 16 3-8h4',
  menu: 'M4 7h16M4 12h16M4 17h16',
  close: 'M6 6l12 12M18 6L6 18',
  play: 'M7 5l12 7-12 7z',
  pause: 'M8 5v14M16 5v14',
  retry: 'M20 11a8 8 0 10-2.3 6.3M20 5v6h-6',
  stop: 'M7 7h10v10H7z',
  file: 'M7 3h7l5 5v13H7zM14 3v5h5',
  upload: 'M12 16V4M7 9l5-5 5 5M5 20h14',
  download: 'M12 4v12M7 11l5 5 5-5M5 20h14',
  plus: 'M12 5v14M5 12h14',
  copy: 'M9 9h11v11H9zM5 15H4V4h11v1',
  next: 'M9 6l6 6-6 6',
  previous: 'M15 6l-6 6 6 6',
  out: 'M15 4h4v16h-4M10 8l-4 4 4 4M6 12h9',
  check: 'M5 13l4 4L19 7',
  code: 'M8 7l-5 5 5 5M16 7l5 5-5 5',
}

export const Icon = ({ name, size = 18 }) => html`
  <svg class="icon" viewBox="0 0 24 24" width=${size} height=${size} aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>
`

export const Logo = ({ size = 28 }) => html`
  <svg class="logo" viewBox="0 0 32 32" width=${size} height=${size} aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="8" />
    <path d="M8 10.5h16M16 10.5V23" /><circle cx="23" cy="22" r="2.6" />
  </svg>
`
