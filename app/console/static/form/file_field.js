/** A file that is uploaded as soon as it is chosen; the form then holds its id. */
import { API, Problem, headers } from '../core/api.js'
import { bytes } from '../core/format.js'
import { html, useRef, useState } from '../core/html.js'
import { isLost } from '../core/connection.js'
import { t } from '../core/words.js'
import { Button } from '../parts/basics.js'
import { Icon } from '../parts/icons.js'

/** fetch tells nothing of how far an upload is. */
function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('POST', `${API}/files?name=${encodeURIComponent(file.name.slice(-255))}`)
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value)
    request.setRequestHeader('Content-Type', file.type || 'application/octet-stream')
    request.responseType = 'json'
    request.upload.onprogress = event => event.lengthComputable && onProgress(event.loaded / event.total)
    request.onload = () => (request.status === 201 ? resolve(request.response) : reject(new Problem(request.status, request.response || {})))
    request.onerror = () => {
      isLost()
      reject(new Error(t('The connection broke off. Choose the file again once it is back.')))
    }
    request.send(file)
  })
}

export function FileField({ attributes, value, onChange }) {
  const [file, setFile] = useState(null)
  const [share, setShare] = useState(null)
  const [error, setError] = useState(null)
  const [isOver, setOver] = useState(false)
  const input = useRef(null)
  const take = async chosen => {
    if (!chosen) return
    setError(null)
    setFile({ name: chosen.name, size: chosen.size })
    setShare(0)
    try {
      onChange((await upload(chosen, setShare)).file_id)
    } catch (problem) {
      setError(problem.message)
      setFile(null)
      onChange('')
    }
    setShare(null)
  }
  const drop = event => {
    event.preventDefault()
    setOver(false)
    take(event.dataTransfer.files[0])
  }
  const forget = () => {
    setFile(null)
    onChange('')
    input.current.value = ''
    input.current.focus()
  }
  return html`
    <div class=${`drop ${isOver ? 'over' : ''}`} onDragOver=${event => (event.preventDefault(), setOver(true))} onDragLeave=${() => setOver(false)} onDrop=${drop}>
      <input type="file" ...${attributes} ref=${input} onChange=${event => take(event.target.files[0])} class=${file ? 'unseen' : ''} />
      ${!file && html`<span class="hint"><${Icon} name="upload" />${t('Choose a file, or drop one here')}</span>`}
      ${file && html`
        <div class="chosen" role="status"><${Icon} name=${value ? 'check' : 'file'} /><span class="name">${file.name}</span><small>${bytes(file.size)}</small>
          ${share !== null ? html`<progress value=${share} max="1" aria-label=${t('Upload')} />` : html`<${Button} small icon="close" onClick=${forget}>${t('Another one')}<//>`}
        </div>`}
      ${error && html`<p class="error" role="alert">${error}</p>`}
    </div>
  `
}
